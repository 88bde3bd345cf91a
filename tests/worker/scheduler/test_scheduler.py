"""The scheduler: invariants of batches, slots and cells, on the fake runner's memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.worker.scheduler.prefix_cache import WORTH_MOVING
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope
from appliance.worker.scheduler.scheduler import IDLE_CELLS
from tests.engine.fake_runner import FakeRunner, reply_to
from tests.worker.scheduler.loop import InGroups, Loop, Uncuttable, reply, sequence


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


def processor(n_batch: int = 512) -> Loop:
    return Loop(n_slots=4, n_cells=2000, n_batch=n_batch, partitioned=True, singly=True)


def test_on_a_processor_nobody_waits_for_the_prompts_of_those_who_came_later() -> None:
    loop = processor()
    asked = [sequence(n, f"{n}" * 100, limit=9) for n in range(4)]
    for seq in asked:
        loop.scheduler.add(seq)
    for steps in range(4):
        loop.step()
        assert [seq.n_completion for seq in asked] == [max(0, steps + 1 - n) for n in range(4)]


def test_short_prompts_share_a_step_on_a_processor() -> None:
    loop = processor()
    for n in range(4):
        loop.scheduler.add(sequence(n, f"{n}" * 30))
    assert [[count for _, count in loop.step().parts] for _ in range(2)] == [
        [30, 30, 30],
        [1, 1, 1, 30],
    ]


@pytest.mark.parametrize("length", [513, 550, 577, 600, 1030, 1999])
@pytest.mark.parametrize("others", [0, 3])
def test_no_prompt_ends_with_a_step_of_few_tokens_on_a_processor(length: int, others: int) -> None:
    loop = processor()
    for n in range(others):
        loop.scheduler.add(sequence(n, f"{n}", limit=100))
        loop.step()
    loop.scheduler.add(sequence(9, "x" * length))
    sizes: list[int] = []
    while sum(sizes) < length:
        sizes.append({seq.id: count for seq, count in loop.step().parts}[9])
    assert min(sizes) >= 65
    assert len(sizes) == -(-length // (512 - others))


@pytest.mark.parametrize("partitioned", [False, True])
def test_tokens_chosen_together_take_a_step_alone_and_keep_no_neighbour_waiting(
    partitioned: bool,
) -> None:
    loop = Loop(make=InGroups, n_batch=64, partitioned=partitioned, singly=partitioned)
    alone = sequence(1, "alone", limit=40)
    loop.scheduler.add(alone)
    while not loop.scheduler.idle:
        pending = alone.n_pending
        assert [count for _, count in loop.step().parts] == [pending]
    both = [sequence(n, f"{n} of two", limit=40) for n in (1, 2)]
    for seq in both:
        loop.scheduler.add(seq)
    while any(seq.prefilling for seq in both):
        loop.step()
    loop.scheduler.add(sequence(3, "x" * 500))  # whose prompt goes behind them
    while all(seq.n_completion < 40 for seq in both):
        counts = {seq.id: count for seq, count in loop.step().parts}
        assert (counts[1], counts[2]) == (1, 1)


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
    loop = Loop(n_slots=1, make=Uncuttable)
    loop.run(sequence(1, "one prompt"))
    other = sequence(2, "one pride")
    loop.run(other)
    assert other.n_cached == 0
    assert reply(other) == reply_to("one pride", 4)


def test_a_model_whose_state_cannot_be_cut_goes_on_where_it_stands() -> None:
    loop = Loop(n_slots=1, make=Uncuttable)
    first = sequence(1, "one prompt")
    loop.run(first)
    goes_on = sequence(2, bytes(list(first.tokens)).decode() + " more")
    loop.run(goes_on)
    assert goes_on.n_cached == first.n_past


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
    assert list(loop.scheduler.waiting) == [waiting]
    loop.scheduler.remove(waiting)
    assert not loop.scheduler.waiting
    assert list(loop.scheduler.sequences()) == [running]


def test_eight_requests_with_the_same_unseen_beginning_cause_one_prefill() -> None:
    loop = Loop(n_slots=8, n_cells=2000, n_batch=64)
    sequences = [sequence(i, "S" * 500 + f"question {i}") for i in range(8)]
    loop.run(*sequences)
    for seq in sequences:
        assert reply(seq) == reply_to("S" * 500 + f"question {seq.id}", 4)
    new = 500 + sum(seq.n_prompt - 500 + seq.max_completion_tokens - 1 for seq in sequences)
    assert loop.runner.computed <= new + 8
    assert [seq.cached_from for seq in sequences] == [None] + ["shared"] * 7


def test_a_prefix_is_shared_while_both_run() -> None:
    loop = Loop(n_slots=2)
    first = sequence(1, "P" * 100 + "first", limit=60)
    loop.scheduler.add(first)
    for _ in range(20):
        loop.step()
    second = sequence(2, "P" * 100 + "second")
    loop.run(second)
    assert (second.n_cached, second.cached_from) == (100, "shared")
    assert reply(first) == reply_to("P" * 100 + "first", 60)


def test_an_idle_chat_is_not_lost_to_another_with_the_same_beginning() -> None:
    loop = Loop(n_slots=3)
    loop.run(sequence(1, "S" * 100 + "a" * 100))
    loop.run(sequence(2, "S" * 100 + "b" * 100))
    again = sequence(3, "S" * 100 + "a" * 100 + "c")
    loop.run(again)
    assert (again.n_cached, again.cached_from) == (200, "slot")


def test_more_chats_than_slots_cost_no_prefill_twice() -> None:
    loop = Loop(n_slots=2, n_cells=1000, n_batch=64, memory_bytes=10**6)
    chats = {i: f"chat {i}: " + chr(97 + i) * 100 for i in range(8)}
    new = 0
    for turn in range(4):
        for i, text in list(chats.items()):
            before = len(text) if turn else 0
            seq = sequence(10 * turn + i, text + f" turn {turn}" * 6 * bool(turn))
            loop.run(seq)
            new += seq.n_prompt - before + 4
            chats[i] = bytes(list(seq.tokens)).decode()
            if turn:
                assert seq.cached_from in ("memory", "slot", "shared")
    assert loop.runner.computed <= new * 1.05


def test_idle_cells_do_not_stand_beside_running_ones_for_long() -> None:
    loop = Loop(n_slots=4, n_cells=8000, n_batch=512, memory_bytes=10**6)
    for i in range(3):
        loop.run(sequence(i, chr(97 + i) * 1000))
    running = sequence(9, "z" * 40, limit=20)
    loop.scheduler.add(running)
    loop.step()
    assert loop.cache.idle_cells() <= IDLE_CELLS
    loop.run()
    again = sequence(10, "a" * 1000 + "b")
    loop.run(again)
    assert (again.n_cached, again.cached_from) == (1000, "memory")


def test_a_sequence_sent_back_to_the_queue_is_not_read_again() -> None:
    loop = Loop(n_slots=2, n_cells=200, memory_bytes=10**6)
    old, new = sequence(1, "a" * 80, limit=80), sequence(2, "b" * 80, limit=80)
    loop.run(old, new)
    assert reply(new) == reply_to("b" * 80, 80)
    assert loop.runner.computed <= old.n_prompt + new.n_prompt + 160 + 2 * WORTH_MOVING


def test_a_session_that_is_forgotten_leaves_nothing() -> None:
    loop = Loop(n_slots=1, memory_bytes=10**6)
    loop.run(sequence(1, "a" * 100, scope=Scope("me", "secret")))
    loop.run(sequence(2, "b" * 100))
    loop.cache.forget_session("secret")
    assert loop.store.cached_prefix(PromptTokens(list(b"a" * 400), Scope("me"))) == 0


def test_what_is_being_computed_of_a_forgotten_session_is_found_by_nobody() -> None:
    loop = Loop(n_slots=2, memory_bytes=10**6)
    running = sequence(1, "a" * 100, limit=20, scope=Scope("me", "secret"))
    loop.scheduler.add(running)
    loop.step()
    loop.cache.forget_session("secret")
    loop.run()
    assert reply(running) == reply_to("a" * 100, 20)
    again = sequence(2, "a" * 100, scope=Scope("me", "secret"))
    loop.run(again)
    assert again.n_cached == 0


GUESSES = ["The word is swordfish" + "." * 80, "The word is albatross" + "." * 80]


@pytest.mark.parametrize("tier", ["slot", "memory", "in flight"])
@pytest.mark.parametrize("partitioned", [False, True])
@pytest.mark.parametrize("session", ["", "a chat of his"])
def test_no_owner_learns_what_another_asked(tier: str, partitioned: bool, session: str) -> None:
    """Right and wrong guesses of another's prompt find no cache and take equally many steps."""
    seen = []
    for guess in GUESSES:
        loop = Loop(n_slots=2, memory_bytes=10**6, partitioned=partitioned)
        limit = 30 if tier == "in flight" else 4
        hers = sequence(1, GUESSES[0], limit, Scope("alice", "a chat of hers"))
        loop.scheduler.add(hers)
        loop.step()
        if tier != "in flight":
            loop.run()
        if tier == "memory":
            while loop.cache.evict_idle():
                pass
        his = sequence(2, guess + "?", scope=Scope("bob", session))
        loop.scheduler.add(his)
        steps = 0
        while his not in loop.done:
            loop.step()
            steps += 1
        loop.run()
        seen.append((his.n_cached, his.cached_from, steps, loop.runner.shared))
        assert reply(hers) == reply_to(GUESSES[0], limit)
        assert reply(his) == reply_to(guess + "?", 4)
        # Its owner's own requests find it, and so does another key in the same chat.
        for scope in (Scope("alice"), Scope("bob", "a chat of hers")):
            again = sequence(3, GUESSES[0] + "!", scope=scope)
            loop.run(again)
            assert again.n_cached >= len(GUESSES[0])
    assert seen[0] == seen[1]
    assert seen[0][:2] == (0, None)


@pytest.mark.parametrize("tier", ["slot", "memory", "in flight"])
def test_a_prompt_that_an_administrator_shares_is_read_once_for_all(tier: str) -> None:
    system = "You are a miller. " * 5
    loop = Loop(n_slots=2, memory_bytes=10**6)
    hers = sequence(1, system + "Her word", scope=Scope("alice", common=len(system)))
    his = sequence(2, system + "Her word", scope=Scope("bob", common=len(system)))
    loop.scheduler.add(hers)
    loop.step()
    if tier != "in flight":
        loop.run()
    if tier == "memory":
        while loop.cache.evict_idle():
            pass
    loop.run(his)
    assert len(system) - WORTH_MOVING <= his.n_cached <= len(system)


BEGINNINGS = ["", "s" * 40, "s" * 40 + "t" * 40, "u" * 50]
prompts = st.lists(
    st.tuples(
        st.sampled_from(BEGINNINGS),
        st.text("ab", min_size=1, max_size=60),
        st.integers(1, 20),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=14,
)


def test_what_runs_together_lies_together_where_slots_have_cells_of_their_own() -> None:
    loop = Loop(n_cells=200, n_batch=32, partitioned=True, memory_bytes=10**6)
    loop.run(*(sequence(n, f"{n}" * 60, 5) for n in range(4)))
    oldest, *_ = sorted(loop.cache.slots, key=lambda slot: slot.used)
    loop.run(sequence(4, "1" * 60, 5))  # continues in its slot, so that its neighbour is older
    together = [sequence(5, "x" * 60, 5), sequence(6, "y" * 60, 5)]
    for seq in together:
        loop.scheduler.add(seq)
    loop.step()
    first, second = (seq.slot for seq in together)
    assert first == oldest.index
    assert second is not None
    assert abs(second - first) == 1


@settings(deadline=None, max_examples=200)
@given(
    prompts,
    st.integers(1, 4),
    st.integers(1, 140),
    st.sampled_from([(False, False), (True, False), (True, True)]),
    st.sampled_from([FakeRunner, InGroups, Uncuttable]),
    st.sampled_from([0, 300, 10**6]),
)
def test_each_request_gets_the_reply_it_would_get_alone(
    wanted: list[tuple[str, str, int, int]],
    n_slots: int,
    n_batch: int,
    layout: tuple[bool, bool],
    make: type[FakeRunner],
    memory_bytes: int,
) -> None:
    partitioned, singly = layout
    loop = Loop(
        n_slots,
        n_cells=170,
        n_batch=max(n_batch, n_slots),
        partitioned=partitioned,
        memory_bytes=memory_bytes,
        singly=singly,
        make=make,
    )
    steps = 0
    todo = [
        (at, sequence(i, begin + text, limit)) for i, (begin, text, limit, at) in enumerate(wanted)
    ]
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
        assert reply(seq) == reply_to(text, seq.max_completion_tokens)


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_common_prefix(a: list[int], b: list[int]) -> None:
    count = PromptTokens(a).common_prefix(PromptTokens(b))
    assert a[:count] == b[:count]
    assert count == min(len(a), len(b)) or a[count] != b[count]


@pytest.mark.parametrize("length", [0, 1, 4096, 100_000])
def test_common_prefix_of_long_texts(length: int) -> None:
    other = [*range(100_001)]
    other[length] = -1
    assert PromptTokens(range(100_001)).common_prefix(PromptTokens(other)) == length
