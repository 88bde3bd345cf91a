"""Sliding-window layers: cells that a slot has lost are never read, and prompts are processed again
as rarely as possible. On the fake runner's memory; the real one is tested in `test_states`.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.worker.runners.base import Batch
from appliance.worker.runners.checkpoints import Checkpointing, Cut, State
from appliance.worker.scheduler.prefix_cache import WORTH_MOVING
from tests.engine.fake_runner import FakeRunner, reply_to
from tests.worker.scheduler.loop import Loop, reply, sequence, text
from tests.worker.scheduler.test_scheduler import prompts

WINDOW, SLACK = 24, 16
PLENTY = 10**6


class Windowed(FakeRunner):
    """Like llama.cpp: each slot has its window, and a little before it that is not reused yet. A
    state has the window of its last token."""

    checkpointing: Checkpointing | None = Checkpointing(WINDOW, WINDOW)

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.first: dict[int, int] = {}
        """The first of a slot's tokens whose cell still exists."""

    def decode(self, batch: Batch) -> None:
        for position, slot in zip(batch.positions, batch.slots, strict=True):
            assert self.first.get(slot, 0) <= max(0, position + 1 - WINDOW), "it looks at nothing"
        super().decode(batch)
        for slot in set(batch.slots):
            gone = len(self.cells[slot]) - WINDOW - SLACK
            self.first[slot] = max(self.first.get(slot, 0), gone)

    def min_length(self, slot: int) -> int:
        first = self.first.get(slot, 0)
        return min(len(self.cells.get(slot, [])), first + WINDOW - 1) if first > 0 else 0

    def min_saved_length(self, length: int) -> int:
        return length - 1 if length > WINDOW else 0

    def checkpoint(self, slot: int) -> bytes:
        return bytes(cell.token for cell in self.cells[slot])

    def truncate(self, slot: int, length: int, cut: Cut | None = None) -> int:
        held = self.cells.get(slot, [])
        if cut:
            self._put_back(slot, slot, length, cut)
        elif length < len(held):
            assert length == 0 or length >= self.min_length(slot), "it was to be cut in vain"
        if not length:
            self.first[slot] = 0
        return super().truncate(slot, length)

    def copy_prefix(self, source: int, target: int, length: int, cut: Cut | None = None) -> bool:
        if self.partitioned:
            assert self.restore(target, self.save(source))
            return self.truncate(target, length, cut) == length
        assert cut or length >= self.min_length(source) or length == len(self.cells[source])
        super().copy_prefix(source, target, length)
        self.first[target] = max(0, length - WINDOW)
        if cut:
            self._put_back(source, target, length, cut)
        return True

    def _put_back(self, source: int, target: int, length: int, cut: Cut) -> None:
        """All that the next token looks at is there."""
        held = self.cells[source]
        there: set[int] = set()
        for one in (cut.before, cut.after):
            if one:
                assert one.state == bytes(cell.token for cell in held[: one.length])
                there |= set(range(max(0, one.length - WINDOW), one.length))
        if cut.after is None and (cut.before is None or cut.before.length != length):
            there |= set(range(self.first.get(source, 0), len(held)))
        assert there >= set(range(max(0, length + 1 - WINDOW), length))
        self.first[target] = max(0, length + 1 - WINDOW)

    def restore(self, slot: int, state: State) -> bool:
        self.first[slot] = max(0, len(state) - WINDOW)
        return super().restore(slot, state)


both = pytest.mark.parametrize("partitioned", [False, True], ids=["unified", "partitioned"])


def loop_of(n_slots: int, partitioned: bool, memory_bytes: int = PLENTY) -> Loop:
    return Loop(
        n_slots,
        n_cells=4000,
        n_batch=16,
        partitioned=partitioned,
        memory_bytes=memory_bytes,
        make=Windowed,
    )


@both
def test_another_reply_begins_where_the_prompt_ended(partitioned: bool) -> None:
    loop = loop_of(1, partitioned)
    prompt = text("abc", 200)
    loop.run(sequence(1, prompt, limit=300))
    again = sequence(2, prompt, limit=300)
    loop.run(again)
    assert again.n_cached == 199
    assert reply(again) == reply(loop.done[0])


@both
def test_a_chat_whose_replies_are_rendered_differently_is_read_from_where_they_begin(
    partitioned: bool,
) -> None:
    """Like templates that drop a model's reasoning."""
    loop = loop_of(1, partitioned)
    prompt = text("abc", 200)
    known = 0
    for turn in range(5):
        seq = sequence(turn, prompt, limit=150)
        loop.run(seq)
        assert seq.n_cached == known
        known = seq.n_prompt
        prompt += f" what is left of reply {turn}, and what was asked then"
    (slot,) = loop.cache.slots
    lengths = [0, *(one.length for one in slot.checkpoints)]
    for before, _, after in zip(lengths, lengths[1:], lengths[2:], strict=False):
        assert after - before > WINDOW, "one of them is needless"


@both
def test_a_reply_continues_after_others_had_its_slot(partitioned: bool) -> None:
    loop = loop_of(1, partitioned)
    prompt = text("abc", 200)
    loop.run(sequence(1, prompt, limit=150))
    loop.run(sequence(2, text("xyz", 300)))
    again = sequence(3, prompt + " another reply, and more")
    loop.run(again)
    assert (again.n_cached, again.cached_from) == (200, "memory")


@both
def test_a_beginning_that_is_being_read_is_read_once(partitioned: bool) -> None:
    loop = loop_of(8, partitioned)
    beginning = text("system ", 300)
    chats = [sequence(n, beginning + f"{n}" * 100, limit=200) for n in range(8)]
    loop.run(*chats)
    assert all(chat.n_cached > 300 - WORTH_MOVING for chat in chats[1:])
    assert loop.runner.computed < 300 + 8 * (100 + WORTH_MOVING + 200)


@both
def test_a_beginning_that_others_have_is_read_once(partitioned: bool) -> None:
    loop = loop_of(2, partitioned)
    beginning = text("system ", 300)
    for n in range(6):
        chat = sequence(n, beginning + f"{n}" * 100, limit=200)
        loop.run(chat)
        assert chat.n_cached == (300 if n else 0), n


@both
def test_whatever_is_edited_what_stands_before_it_is_not_read_again(partitioned: bool) -> None:
    prompt = text("abc defg ", 400)
    for at in range(40, 400, 17):
        loop = loop_of(2, partitioned)
        loop.run(sequence(1, prompt, limit=150))
        edited = sequence(2, prompt[:at] + "X" + prompt[at:], limit=60)
        loop.run(edited)
        assert edited.n_cached == at
        assert reply(edited) == reply_to(prompt[:at] + "X" + prompt[at:], 60)


@both
def test_with_little_room_a_turn_ends_where_it_did(partitioned: bool) -> None:
    """There is room for a window or two, and what is left is where chats go on."""
    loop = loop_of(1, partitioned, memory_bytes=800)
    prompt = text("abc", 200)
    loop.run(sequence(1, prompt, limit=300))
    again = sequence(2, prompt + " and more", limit=60)
    loop.run(again)
    assert again.n_cached == 200


@both
def test_chats_in_turn_are_read_once(partitioned: bool) -> None:
    loop = loop_of(2, partitioned)
    chats = {n: text(f"chat {n} ", 150) for n in range(6)}
    for turn in range(3):
        for n, prompt in chats.items():
            seq = sequence(n, prompt, limit=100)
            loop.run(seq)
            assert turn == 0 or seq.n_cached == len(prompt) - 31
            chats[n] = bytes(list(seq.tokens)).decode() + text(f"turn {turn} ", 30)


@both
def test_checkpoints_keep_to_their_room(partitioned: bool) -> None:
    loop = loop_of(4, partitioned, memory_bytes=1000)
    for n in range(12):
        loop.run(sequence(n, text("system ", 200) + chr(97 + n) * (40 * n + 1), limit=60))
        held = [one.state for slot in loop.cache.slots for one in slot.checkpoints]
        assert sum(map(len, {id(state): state for state in held}.values())) <= 1000
    assert held


@settings(deadline=None, max_examples=300)
@given(
    prompts, st.integers(1, 4), st.integers(4, 70), st.booleans(), st.sampled_from([0, 300, PLENTY])
)
def test_no_sequence_reads_freed_cells_whatever_is_submitted(
    wanted: list[tuple[str, str, int, int]],
    n_slots: int,
    n_batch: int,
    partitioned: bool,
    memory_bytes: int,
) -> None:
    loop = Loop(
        n_slots, 200, n_batch, partitioned=partitioned, memory_bytes=memory_bytes, make=Windowed
    )
    loop.check_replies(wanted)
