"""A real model with a sliding window of 512 tokens in most layers: with the short cache, no prompt
is processed twice, and replies continue from the right state."""

import random
from pathlib import Path

from appliance.engine.local.engine import LocalEngine
from tests.worker.runners.test_states import Reply, ask, worker

SHORT = {
    "n_ctx": 2048,
    "n_batch": 128,
    "n_ubatch": 128,
    "n_seq_max": 1,
    "kv_memory_bytes": 1 << 28,
    # Without it, the order of cells makes no difference; with it, partial sums are added.
    "flash_attn": "off",
}
"""Layers with a sliding window have 768 cells, of which a slot keeps at least 512."""
PROMPT, REPLY, DOCUMENT = 560, 280, 820
"""Tokens. With a reply behind it, the window of a prompt's or document's end is lost."""


def prompt(seed: int, count: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(1000, 50_000) for _ in range(count)]


def same(reply: Reply, wanted: Reply) -> bool:
    """Compares the first token, from a single step: a difference in the seventh decimal becomes a
    tenth of a nat some tokens later, because activations are rounded to eight bits."""
    ours, theirs = reply[0][0].top, wanted[0][0].top
    return all(
        one.text == other.text and abs(one.logprob - other.logprob) < 1e-4
        for one, other in zip(ours, theirs, strict=True)
    )


def test_what_was_read_once_is_not_read_again(gemma: Path, tmp_path: Path) -> None:
    base = prompt(1, PROMPT)
    follows = base + prompt(2, 1)
    with worker(gemma, **SHORT) as near:  # where all of its cells still exist
        ask(near, base)
        wanted = ask(near, base)
        wanted_then = ask(near, follows)
        assert [end.cached_tokens for _, end in (wanted, wanted_then)] == [PROMPT - 1, PROMPT]
    kept = SHORT | {"kv_folder": str(tmp_path), "kv_disk_bytes": 1 << 30}
    with worker(gemma, **kept) as engine:
        ask(engine, base, REPLY)
        again = ask(engine, base)
        assert again[1].cached_tokens == PROMPT - 1
        assert same(again, wanted)
        ask(engine, base, REPLY)
    with worker(gemma, **kept) as engine:
        then = ask(engine, follows)
        assert (then[1].cached_tokens, then[1].cached_from) == (PROMPT, "disk")
        assert same(then, wanted_then)


def test_of_another_question_about_a_document_the_question_is_read(gemma: Path) -> None:
    """52 tokens that are computed once more may move a logprob by a fifth of a nat, whether any was
    cached or not; to the last bit, windows are compared in `test_window_state`."""
    document = prompt(3, DOCUMENT)
    # The first question is so long that the window of the document's end is lost.
    first, second = (document + prompt(seed, count) for seed, count in ((4, REPLY), (5, 52)))
    room = {"n_seq_max": 3, "kv_memory_bytes": 0, "kv_unified": True}
    with worker(gemma, **SHORT | room) as near:  # where all of it is still there
        ask(near, first)
        wanted = ask(near, second)
        assert wanted[1].cached_tokens == DOCUMENT
    with worker(gemma, **SHORT) as engine:
        ask(engine, first)
        then = ask(engine, second)
        assert then[1].cached_tokens == DOCUMENT
        assert then[0][0].token.text == wanted[0][0].token.text


def test_of_each_change_what_could_be_saved_is_saved_after_a_restart_too(
    gemma: Path, tmp_path: Path
) -> None:
    """As `test_prefixes` has it of tiny models: 19 of 20 tokens at least."""
    kept = SHORT | {"n_seq_max": 2, "kv_folder": str(tmp_path), "kv_disk_bytes": 1 << 30}
    firsts = [prompt(seed, PROMPT) for seed in range(10, 14)]

    def shares(engine: LocalEngine, seed: int) -> dict[str, float]:
        cells = {
            "the same again": (firsts[0], PROMPT - 1),
            "edited in the middle": (firsts[1][:300] + prompt(seed, 60), 300),
            "20 more": (firsts[2] + prompt(seed, 20), PROMPT),
            "another question": (firsts[3][: PROMPT - 40] + prompt(seed, 20), PROMPT - 40),
        }
        found = {}
        for number, (name, (then, saved)) in enumerate(cells.items()):
            end = ask(engine, then, session=f"chat {number}")[1]
            assert end.cached_tokens <= saved
            found[name] = round(end.cached_tokens / saved, 3)
        return found

    def begin(engine: LocalEngine) -> None:
        for number, first in enumerate(firsts):
            ask(engine, first, 40, session=f"chat {number}")

    with worker(gemma, **kept) as engine:
        begin(engine)
        there = shares(engine, 20)
        begin(engine)
    with worker(gemma, **kept) as engine:
        restored = shares(engine, 21)
    assert min(*there.values(), *restored.values()) >= 0.95, (there, restored)
