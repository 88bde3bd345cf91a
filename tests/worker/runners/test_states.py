"""Models whose state cannot be truncated at any point, or with a sliding window: whatever a slot
held before, shared, kept or restored, replies are the same as from a fresh worker."""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Finished, Logprobs
from appliance.engine.types import SamplingParams, TokenPrompt
from tests.engine.conftest import load_of
from tests.engine.engine_client import CollectedReply
from tests.models.architectures import gemma3, granitehybrid, mamba
from tests.models.gguf_writer import Gguf, llama

MODELS: dict[str, Callable[[], Gguf]] = {
    "plain": lambda: llama(n_ctx=512),
    "window": lambda: gemma3(window=64, n_layer=6, n_ctx=512),
    "recurrent": mamba,
    "hybrid": lambda: granitehybrid([2, 0, 2, 0]),
}
CONTROL = ((0, -math.inf), (1, -math.inf), (2, -math.inf))
GREEDY = SamplingParams(temperature=0, max_tokens=8, logprobs=2, logit_bias=CONTROL)
NOISE = 2e-4
"""The most likely tokens may swap if their difference is below this, depending on the batches;
the errors that these tests look for are fifty times as large."""

Reply = tuple[list[Logprobs], Finished]


def tokens(seed: int, count: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(259, 288) for _ in range(count)]


@contextmanager
def worker(file: Path, **changes: object) -> Iterator[LocalEngine]:
    engine = LocalEngine(
        "tiny",
        load_of(str(file), **{"n_ctx": 512, "n_seq_max": 2, "n_threads": 1, **changes}),
        command=paths.worker_command(),
        environment=worker_environment(),
        max_waiting=16,
    )
    engine.start()
    assert engine.wait_ready(600), engine.state
    yield engine
    engine.close()


def read(request: CollectedReply) -> Reply:
    generated = [
        entry
        for event in request.wait(600).events
        for entry in getattr(event, "logprobs", None) or ()
    ]
    return generated, request.finished


def same(generated: list[Logprobs], wanted: list[Logprobs]) -> bool:
    for ours, theirs in zip(generated, wanted, strict=True):
        if ours.token.text != theirs.token.text:
            return theirs.top[0].logprob - theirs.top[1].logprob < NOISE
    return True


def ids(generated: list[Logprobs]) -> list[int]:
    """The token ids of a reply, by the tests' vocabulary."""
    return [
        259 + int(entry.token.text[5:])
        if entry.token.text.startswith(b" word")
        else 3 + entry.token.text[0]
        for entry in generated
    ]


def ask(
    engine: LocalEngine, prompt: list[int], count: int = 8, *, session: str = "a chat"
) -> Reply:
    greedy = replace(GREEDY, max_tokens=count, ignore_eos=count > 8)
    return read(CollectedReply(engine, TokenPrompt(prompt), greedy, session=session))


BASE = tokens(1, 150)
PROMPTS = {
    "base": BASE,
    "one": BASE + tokens(2, 20),
    "two": BASE + tokens(3, 20),
    "half": BASE[:70] + tokens(4, 30),
    "other": tokens(5, 120),
}


@pytest.mark.parametrize("kv_unified", [True, False], ids=["unified", "partitioned"])
@pytest.mark.parametrize("kind", list(MODELS))
def test_replies_are_those_of_a_fresh_worker(tmp_path: Path, kind: str, kv_unified: bool) -> None:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(MODELS[kind]().encoded(seed=9))
    wanted: dict[str, list[Logprobs]] = {}
    prompts = dict(PROMPTS)
    for name in (*PROMPTS, "more"):
        with worker(file, kv_unified=kv_unified) as fresh:
            wanted[name], end = ask(fresh, prompts[name])
            assert end.cached_tokens == 0
        if name == "base":  # a chat that continues
            prompts["more"] = BASE + ids(wanted["base"]) + tokens(6, 10)
    replies = {tuple(entry.token.text for entry in generated) for generated in wanted.values()}
    assert len(replies) == len(wanted), "they must differ"

    kept = {"kv_folder": str(tmp_path / "kv"), "kv_memory_bytes": 1 << 24}
    kept |= {"kv_disk_bytes": 1 << 28, "kv_unified": kv_unified}
    reused: dict[str | None, int] = {}

    def check(name: str, reply: Reply) -> None:
        generated, end = reply
        assert same(generated, wanted[name]), (name, end)
        reused[end.cached_from] = reused.get(end.cached_from, 0) + end.cached_tokens

    with worker(file, **kept) as engine:
        for name in ("base", "one", "two", "one", "other", "half", "two", "base", "more", "other"):
            check(name, ask(engine, prompts[name]))
        for pair in (("one", "two"), ("half", "base"), ("two", "more"), ("other", "base")):
            pending = [
                CollectedReply(engine, TokenPrompt(prompts[name]), GREEDY, session="a chat")
                for name in pair
            ]
            for name, request in zip(pair, pending, strict=True):
                check(name, read(request))
    with worker(file, **kept) as engine:
        for name in ("more", "one", "base", "half", "two", "other"):
            check(name, ask(engine, prompts[name]))
    assert sum(reused.values()) > 0, "a chat that went on was read again"
    if kind == "plain":
        assert reused["disk"] and reused["memory"] and reused["slot"]
    print(kind, reused)
