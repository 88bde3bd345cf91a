"""Recurrent layers: their state stands where it was copied, and what was read once is read again as
seldom as can be. On the fake runner's memory; the real one's is in `test_prefixes`.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.worker.runners.checkpoints import (
    LEAST_STEP,
    SHARE,
    Checkpoint,
    cut_at,
    least_gap,
    least_missed,
    next_length,
    usable_length,
)
from appliance.worker.scheduler.prompt_tokens import Scope
from tests.engine.fake_runner import END, reply_to
from tests.worker.scheduler.loop import Loop, Recurrent, reply, sequence, text
from tests.worker.scheduler.test_scheduler import prompts

PLENTY = 10**7
lengths = st.lists(st.integers(1, 400), max_size=8, unique=True).map(sorted)
both = pytest.mark.parametrize("partitioned", [False, True], ids=["unified", "partitioned"])


def loop_of(n_slots: int, partitioned: bool, memory_bytes: int = PLENTY, n_batch: int = 64) -> Loop:
    return Loop(
        n_slots,
        n_cells=4000,
        n_batch=n_batch,
        partitioned=partitioned,
        memory_bytes=memory_bytes,
        make=Recurrent,
    )


@given(lengths, st.integers(0, 400), st.integers(0, 60))
def test_what_is_usable_can_be_restored(marks: list[int], common: int, reach: int) -> None:
    """By what lies before and after it, if a window covers both."""
    held = 400
    usable = usable_length(common, held, held, marks, reach)
    assert usable <= common
    assert all(mark <= usable for mark in marks if mark <= common)
    if usable in (0, held):
        return
    cut = cut_at([Checkpoint(mark, b"") for mark in marks], usable)
    before = cut.before.length if cut.before else 0
    after = cut.after.length if cut.after else held
    assert before == usable or (reach and (after - before <= reach or after - usable == 1))


def planned(n_prompt: int, count: int) -> list[int]:
    """Where checkpoints are due in a prompt."""
    gap, last, marks = least_gap(n_prompt, count), 0, []
    while (last := next_length(last, gap, 0, ())) < n_prompt:
        marks.append(last)
    return marks


@given(st.integers(LEAST_STEP, 100_000), st.integers(150, 1000), st.floats(0, 1))
def test_an_edit_anywhere_costs_a_share_of_what_stands_before_it(
    n_prompt: int, count: int, where: float
) -> None:
    edit = int(n_prompt * where)
    last = max((mark for mark in planned(n_prompt, count) if mark <= edit), default=0)
    assert edit - last < max(128, edit * SHARE + LEAST_STEP)
    if edit >= 320:
        assert last >= edit * (1 - SHARE)


@given(st.integers(130, 100_000), st.integers(1, 100))
def test_no_more_are_planned_than_there_is_room_for(n_prompt: int, count: int) -> None:
    assert len(planned(n_prompt, count)) <= count + 1


@pytest.mark.parametrize(("count", "most"), [(5, 0.22), (10, 0.11), (20, 0.06)])
def test_where_few_have_room_edits_cost_little_of_all_that_could_be_saved(
    count: int, most: float
) -> None:
    """Of edits anywhere in a long chat, as much as one checkpoint in so many can save."""
    n_prompt = 10_000
    marks = [0, *planned(n_prompt, count)]
    lost = sum(edit - max(mark for mark in marks if mark <= edit) for edit in range(n_prompt))
    assert lost <= most * sum(range(n_prompt))


def test_one_is_set_where_a_message_ends_on_the_way() -> None:
    assert next_length(1000, 100, 0, [900, 1040, 1070, 1090, 1200]) == 1090
    assert next_length(1000, 100, 0, [900, 1040, 1200]) == 1100


def test_what_lies_between_is_missed_least_and_turns_most() -> None:
    kept = [Checkpoint(length, b"", length == 300) for length in (100, 290, 300, 900)]
    assert kept[least_missed(kept, 0)].length == 290
    kept = [one for one in kept if one.length != 290]
    assert kept[least_missed(kept, 0)].length == 100
    assert least_missed(kept[:1], 0) == 0


@both
def test_another_reply_is_made_of_the_same_prompt(partitioned: bool) -> None:
    loop = loop_of(1, partitioned)
    prompt = text("abc", 400)
    loop.run(sequence(1, prompt, limit=300))
    again = sequence(2, prompt, limit=300)
    loop.run(again)
    assert again.n_cached == 399
    assert reply(again) == reply(loop.done[0])


@both
def test_a_chat_whose_replies_are_shown_otherwise_goes_on_where_the_message_ended(
    partitioned: bool,
) -> None:
    """As templates do that leave a model's reasoning out, and open a thought for the reply."""
    loop = loop_of(1, partitioned)
    prompt, known = text("abc", 200) + chr(END), 0
    for turn in range(5):
        seq = sequence(turn, f"{prompt} reply: think", limit=150)
        loop.run(seq)
        assert known <= seq.n_cached <= known + len(" reply: ")
        known = len(prompt)
        prompt += f" reply: what is left of {turn}{chr(END)} and what was asked then{chr(END)}"


@both
def test_whatever_is_edited_what_stands_before_it_is_hardly_read_again(partitioned: bool) -> None:
    prompt = text("abc defg ", 700)
    for at in range(330, 700, 23):
        loop = loop_of(2, partitioned)
        loop.run(sequence(1, prompt, limit=50))
        edited = sequence(2, prompt[:at] + "X" + prompt[at:], limit=20)
        loop.run(edited)
        assert at * (1 - SHARE) <= edited.n_cached <= at
        assert reply(edited) == reply_to(prompt[:at] + "X" + prompt[at:], 20)


@both
def test_a_beginning_that_is_being_read_is_read_once(partitioned: bool) -> None:
    loop = loop_of(8, partitioned)
    beginning = text("system ", 300)
    chats = [sequence(n, beginning + f"{n}" * 100, limit=50) for n in range(8)]
    loop.run(*chats)
    assert loop.runner.computed < 300 + 8 * (100 + 32 + 50)


@both
def test_replies_to_one_prompt_read_it_once(partitioned: bool) -> None:
    loop = loop_of(4, partitioned)
    loop.run(*[sequence(n, text("abc", 400), limit=20) for n in range(4)])
    assert loop.runner.computed < 400 + 4 * (32 + 20)


@both
def test_a_prompt_that_was_given_up_is_not_read_again(partitioned: bool) -> None:
    loop = loop_of(2, partitioned, n_batch=32)
    first = sequence(1, text("abc", 400))
    loop.scheduler.add(first)
    while first.n_past < 250:
        loop.step()
    loop.scheduler.remove(first)
    again = sequence(2, text("abc", 400))
    loop.run(again)
    assert again.n_cached >= 250


@both
def test_no_other_owner_finds_a_checkpoint(partitioned: bool) -> None:
    loop = loop_of(2, partitioned)
    prompt = text("abc", 400)
    loop.run(sequence(1, prompt, scope=Scope("one", "chat")))
    other = sequence(2, prompt, scope=Scope("other", "another chat"))
    loop.run(other)
    assert other.n_cached == 0
    loop.cache.forget_session("chat")
    again = sequence(3, prompt + "more", scope=Scope("one", "chat"))
    loop.run(again)
    assert again.n_cached == 0


@both
def test_checkpoints_keep_to_their_room(partitioned: bool) -> None:
    loop = loop_of(4, partitioned, memory_bytes=2000)
    for n in range(12):
        loop.run(sequence(n, text("system ", 200) + chr(97 + n) * (40 * n + 1), limit=60))
        held = [one.state for slot in loop.cache.slots for one in slot.checkpoints]
        assert sum(map(len, {id(state): state for state in held}.values())) <= 2000
        assert loop.cache.bytes_held()[1] <= 4000
    assert held


def test_the_memory_that_is_reported_is_the_memory_that_is_held() -> None:
    """Checkpoints that a slot and a stored state have in common count once."""
    loop = loop_of(2, partitioned=True)
    for n in range(5):
        loop.run(sequence(n, text(f"chat {n} ", 400), limit=60, scope=Scope("", f"chat {n}")))
        loop.cache.store_idle()
    states = [one.state for slot in loop.cache.slots for one in slot.checkpoints]
    assert states
    own = {id(state): len(state) for state in states}
    for state in loop.store.checkpoints_held():
        own.pop(id(state), None)
    held = loop.cache.bytes_held()[1]
    assert held == loop.store.memory_held + sum(own.values())
    assert held < loop.store.memory_held + sum(map(len, states))


class Forgetful(Recurrent):
    """No copy can be had."""

    def checkpoint(self, slot: int) -> bytes:
        return b""


class Refusing(Recurrent):
    """No copy can be put back, and the slot is empty then."""

    def truncate(self, slot: int, length: int, cut: object = None) -> int:
        return super().truncate(slot, 0 if cut else length)

    def copy_prefix(self, source: int, target: int, length: int, cut: object = None) -> bool:
        return cut is None and super().copy_prefix(source, target, length)


@both
@pytest.mark.parametrize("make", [Forgetful, Refusing])
def test_a_checkpoint_that_is_of_no_use_means_reading_again(
    make: type[Recurrent], partitioned: bool
) -> None:
    loop = Loop(2, 4000, 64, partitioned=partitioned, memory_bytes=PLENTY, make=make)
    prompt = text("abc", 400)
    loop.run(sequence(1, prompt))
    again, edited = sequence(2, prompt), sequence(3, prompt[:350] + "X" * 50)
    loop.run(again)
    loop.run(edited)
    assert (again.n_cached, edited.n_cached) == (0, 0)
    assert reply(again) == reply(loop.done[0])
    assert reply(edited) == reply_to(prompt[:350] + "X" * 50, 4)


@settings(deadline=None, max_examples=200)
@given(
    prompts,
    st.integers(1, 4),
    st.integers(4, 70),
    st.booleans(),
    st.sampled_from([0, 300, 1000, PLENTY]),
)
def test_whatever_comes_replies_are_those_of_their_prompts(
    wanted: list[tuple[str, str, int, int]],
    n_slots: int,
    n_batch: int,
    partitioned: bool,
    memory_bytes: int,
) -> None:
    loop = Loop(
        n_slots, 200, n_batch, partitioned=partitioned, memory_bytes=memory_bytes, make=Recurrent
    )
    loop.check_replies(wanted)
