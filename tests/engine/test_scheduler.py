"""Who runs next: invariants of batches, slots and cells, on the fake runner's memory."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.engine.prefix_cache import common_prefix
from appliance.engine.protocol import SamplingParams
from appliance.engine.runners.base import NoRoom
from appliance.engine.scheduler import Batch, Scheduler
from appliance.engine.sequence import Sequence
from tests.engine.conftest import load_of
from tests.engine.fake_runner import FakeRunner, reply_to


def sequence(id: int, prompt: str, limit: int = 4) -> Sequence:
    tokens = array("i", list(prompt.encode()))
    return Sequence(id, tokens, SamplingParams(), seed=0, limit=limit)


class Loop:
    """The step loop reduced to the bone: schedule, decode, sample."""

    def __init__(
        self, n_slots: int = 4, n_cells: int = 1000, n_batch: int = 16, partitioned: bool = False
    ) -> None:
        load = load_of("fake", n_ctx=n_cells, n_seq_max=n_slots, kv_unified=not partitioned)
        self.runner = FakeRunner(load, lambda fraction: None)
        self.n_batch = n_batch
        self.scheduler = Scheduler(
            self.runner,
            n_slots=n_slots,
            n_cells=n_cells,
            n_batch=n_batch,
            partitioned=partitioned,
        )
        self.done: list[Sequence] = []

    def step(self) -> Batch:
        batch = self.scheduler.schedule()
        assert 0 < len(batch.tokens) <= self.n_batch
        assert len({s.slot for s, _ in batch.parts}) == len(batch.parts)
        try:
            self.runner.decode(batch)
        except NoRoom:
            assert self.scheduler.no_room(), "nothing could be done"
            return batch
        self.scheduler.computed(batch)
        for output, seq in zip(batch.outputs, batch.samples, strict=True):
            seq.append(self.runner.sampler(SamplingParams(), 0, ()).sample(output))
            if seq.n_completion >= seq.limit:
                self.scheduler.remove(seq)
                self.done.append(seq)
        return batch

    def run(self, *sequences: Sequence) -> None:
        for seq in sequences:
            self.scheduler.add(seq)
        for _ in range(10_000):
            if self.scheduler.idle:
                return
            self.step()
        raise AssertionError("does not come to an end")


def reply(seq: Sequence) -> str:
    return bytes(list(seq.tokens[seq.n_prompt :])).decode()


def test_decoding_sequences_come_first_and_prompts_fill_the_rest() -> None:
    loop = Loop(n_batch=16)
    loop.scheduler.add(sequence(1, "short", limit=50))
    loop.step()
    loop.scheduler.add(sequence(2, "x" * 40))
    batch = loop.step()
    assert [(seq.id, count) for seq, count in batch.parts] == [(1, 1), (2, 15)]
    assert batch.samples == [batch.parts[0][0]]


def test_the_oldest_prompt_is_read_first() -> None:
    loop = Loop(n_batch=16)
    loop.scheduler.add(sequence(1, "a" * 30))
    loop.scheduler.add(sequence(2, "b" * 30))
    assert [seq.id for seq, _ in loop.step().parts] == [1]
    assert [(seq.id, n) for seq, n in loop.step().parts] == [(1, 14), (2, 2)]


def test_a_chat_that_goes_on_finds_its_slot_among_others() -> None:
    loop = Loop(n_slots=3)
    loop.run(*(sequence(i, f"chat {i} begins here") for i in range(3)))
    before = loop.runner.computed
    first = loop.done[1]
    goes_on = sequence(9, bytes(list(first.tokens)).decode() + " and goes on")
    loop.run(goes_on)
    assert goes_on.n_cached == len(first.tokens) - 1
    assert loop.runner.computed - before == len(goes_on.tokens) - 1 - goes_on.n_cached


def test_the_same_prompt_again_computes_its_last_token_only() -> None:
    loop = Loop()
    loop.run(sequence(1, "the very same prompt"))
    again = sequence(2, "the very same prompt")
    loop.run(again)
    assert again.n_cached == again.n_prompt - 1
    assert reply(again) == reply(loop.done[0])


def test_the_slot_used_longest_ago_is_given_away() -> None:
    loop = Loop(n_slots=2)
    loop.run(sequence(1, "aaaa"))
    loop.run(sequence(2, "bbbb"))
    loop.run(sequence(3, "cccc"))
    again = sequence(4, "bbbb")
    loop.run(again)
    assert again.n_cached == 3


def test_a_model_whose_state_cannot_be_cut_starts_over() -> None:
    loop = Loop(n_slots=1)
    loop.run(sequence(1, "one prompt"))
    cut = loop.runner.cut
    loop.runner.cut = lambda slot, length: cut(slot, 0)  # type: ignore[method-assign]
    other = sequence(2, "one pride")
    loop.run(other)
    assert other.n_cached == 0
    assert reply(other) == reply_to("one pride", 4)


def test_a_full_cache_takes_from_idle_slots_first() -> None:
    loop = Loop(n_slots=2, n_cells=100)
    loop.run(sequence(1, "a" * 60))
    second = sequence(2, "b" * 80)
    loop.run(second)
    assert reply(second) == reply_to("b" * 80, 4)


def test_a_full_cache_sends_the_newest_sequence_back_and_loses_nothing() -> None:
    loop = Loop(n_slots=2, n_cells=100)
    old, new = sequence(1, "a" * 40, limit=40), sequence(2, "b" * 40, limit=40)
    loop.run(old, new)
    assert [seq.id for seq in loop.done] == [1, 2]
    assert reply(old) == reply_to("a" * 40, 40)
    assert reply(new) == reply_to("b" * 40, 40)


def test_ending_a_waiting_sequence_takes_it_from_the_queue() -> None:
    loop = Loop(n_slots=1)
    running, waiting = sequence(1, "a", limit=50), sequence(2, "b")
    loop.scheduler.add(running)
    loop.scheduler.add(waiting)
    loop.step()
    assert loop.scheduler.waiting == 1
    loop.scheduler.remove(waiting)
    assert loop.scheduler.waiting == 0
    assert list(loop.scheduler.sequences()) == [running]


prompts = st.lists(
    st.tuples(st.text("ab", min_size=1, max_size=60), st.integers(1, 20), st.integers(0, 30)),
    min_size=1,
    max_size=14,
)


@settings(deadline=None, max_examples=150)
@given(prompts, st.integers(1, 4), st.integers(1, 40), st.booleans())
def test_whatever_comes_each_gets_the_reply_it_would_get_alone(
    wanted: list[tuple[str, int, int]], n_slots: int, n_batch: int, partitioned: bool
) -> None:
    loop = Loop(n_slots, n_cells=81, n_batch=max(n_batch, n_slots), partitioned=partitioned)
    steps = 0
    todo = [(at, sequence(i, text, limit)) for i, (text, limit, at) in enumerate(wanted)]
    while todo or not loop.scheduler.idle:
        for _, seq in [entry for entry in todo if entry[0] <= steps]:
            loop.scheduler.add(seq)
        todo = [entry for entry in todo if entry[0] > steps]
        if not loop.scheduler.idle:
            loop.step()
        steps += 1
        assert steps < 5000
    assert len(loop.done) == len(wanted)
    for seq in loop.done:
        text = bytes(list(seq.tokens[: seq.n_prompt])).decode()
        assert reply(seq) == reply_to(text, seq.limit)


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_common_prefix(a: list[int], b: list[int]) -> None:
    count = common_prefix(array("i", a), array("i", b))
    assert a[:count] == b[:count]
    assert count == min(len(a), len(b)) or a[count] != b[count]


@pytest.mark.parametrize("length", [0, 1, 4096, 100_000])
def test_common_prefix_of_long_texts(length: int) -> None:
    a = array("i", range(100_001))
    b = array("i", a)
    b[length] = -1
    assert common_prefix(a, b) == length
