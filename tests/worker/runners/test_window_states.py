"""A short cache for sliding-window layers, with llama.cpp's own cache: replies are the same as from
a fresh worker, and no prompt is processed twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Finished, Logprobs
from appliance.engine.types import TokenPrompt
from tests.engine.engine_client import CollectedReply
from tests.models.architectures import gemma3
from tests.worker.runners.test_states import GREEDY, ask, ids, read, same, tokens, worker

SHORT = {"n_ctx": 2048, "n_batch": 64, "n_ubatch": 64}
"""The cache of a window of 64 then has 256 cells: no prompt here fits into it completely."""
BASE = tokens(1, 600)
PROMPTS = {
    "base": BASE,
    "edited": BASE + tokens(2, 40),
    "edited again": BASE + tokens(2, 40) + tokens(3, 40),
    "branch": BASE[:300] + tokens(5, 60),
    "another branch": BASE[:300] + tokens(6, 60),
    "third branch": BASE[:300] + tokens(7, 60),
    "other": tokens(8, 700),
    "third": tokens(9, 500),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("window") / "tiny.gguf"
    file.write_bytes(gemma3(window=64, n_layer=6, n_ctx=2048).encoded(seed=9))
    return file


@pytest.fixture(scope="module")
def wanted(file: Path) -> dict[str, list[Logprobs]]:
    """Replies of a fresh worker."""
    found = {}
    for name, prompt in PROMPTS.items():
        with worker(file, **SHORT) as fresh:
            found[name], end = ask(fresh, prompt)
            assert end.cached_tokens == 0
    assert len({tuple(e.token.text for e in generated) for generated in found.values()}) == len(
        found
    )
    return found


class Chats:
    """Sends prompts, and compares the replies with a fresh worker's."""

    def __init__(self, engine: LocalEngine, wanted: dict[str, list[Logprobs]]) -> None:
        self.engine = engine
        self._wanted = wanted

    def ask(self, name: str) -> Finished:
        generated, end = ask(self.engine, PROMPTS[name])
        assert same(generated, self._wanted[name]), (name, end)
        return end

    def talk(self, name: str, count: int = 400) -> None:
        """A reply that is far longer than the window."""
        ask(self.engine, PROMPTS[name], count)

    def together(self, *names: str) -> list[Finished]:
        pending = [
            CollectedReply(self.engine, TokenPrompt(PROMPTS[name]), GREEDY, session="a chat")
            for name in names
        ]
        ends = []
        for name, request in zip(names, pending, strict=True):
            generated, end = read(request)
            assert same(generated, self._wanted[name]), (name, end)
            ends.append(end)
        return ends


@pytest.fixture(params=[True, False], ids=["unified", "partitioned"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    room = {"kv_folder": str(tmp_path / "kv"), "kv_disk_bytes": 1 << 28}
    return {**SHORT, **room, "kv_unified": request.param, "kv_memory_bytes": 1 << 26}


@pytest.fixture
def chats(
    file: Path, wanted: dict[str, list[Logprobs]], kept: dict[str, object]
) -> Iterator[Chats]:
    with worker(file, **kept) as engine:
        yield Chats(engine, wanted)


def test_another_reply_begins_where_the_prompt_ended(chats: Chats) -> None:
    chats.talk("base")
    assert chats.ask("base").cached_tokens == 599
    chats.talk("base")
    assert chats.ask("edited").cached_tokens == 600


def test_another_prompt_begins_where_the_reply_before_it_ended(
    file: Path, kept: dict[str, object]
) -> None:
    with worker(file, **kept) as engine:
        generated, _ = ask(engine, BASE, 100)
        chat = BASE + ids(generated)
        ask(engine, chat + tokens(2, 40), 400)
        edited, end = ask(engine, chat + tokens(3, 40))
    assert end.cached_tokens >= len(chat) - 1
    with worker(file, **SHORT) as fresh:
        wanted, _ = ask(fresh, chat + tokens(3, 40))
    assert same(edited, wanted)


def test_after_others_had_the_slots_too(chats: Chats) -> None:
    chats.talk("base")
    for name in ("other", "third"):
        chats.ask(name)
    end = chats.ask("edited")
    assert (end.cached_tokens, end.cached_from) == (600, "memory")


def test_and_after_a_restart(
    file: Path, wanted: dict[str, list[Logprobs]], kept: dict[str, object]
) -> None:
    with worker(file, **kept) as engine:
        Chats(engine, wanted).talk("base")
    with worker(file, **kept) as engine:
        chats = Chats(engine, wanted)
        end = chats.ask("edited")
        assert (end.cached_tokens, end.cached_from) == (600, "disk")
        assert chats.ask("edited again").cached_tokens >= 640


def test_a_beginning_that_many_share_is_read_once(chats: Chats) -> None:
    chats.talk("base")
    assert chats.ask("branch").cached_tokens == 300
    chats.talk("branch")
    assert chats.ask("another branch").cached_tokens == 300
    chats.talk("another branch")
    assert chats.ask("third branch").cached_tokens == 300


def test_a_beginning_that_is_just_being_read_is_read_once(chats: Chats) -> None:
    first, second = chats.together("branch", "another branch")
    assert first.cached_tokens == 0
    assert 300 - 32 < second.cached_tokens <= 300


def test_whatever_was_in_a_slot_before(chats: Chats) -> None:
    """More chats than slots, in turn and together, so that states move all the time."""
    names = list(PROMPTS)
    for turn in range(3):
        for name in names[turn:] + names[:turn]:
            chats.ask(name)
        for pair in zip(names, names[turn + 1 :], strict=False):
            chats.together(*pair)
        chats.talk(names[turn], 200)
