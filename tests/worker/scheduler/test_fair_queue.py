"""The fair queue: owners take turns, and nobody can fill the queue for others."""

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.engine.fair_queue import FairQueue, is_full
from appliance.engine.protocol import Finished, SequenceEvent
from appliance.engine.types import GenerationRequest, SamplingParams, TextPrompt
from appliance.errors import QueueFull
from appliance.worker.scheduler.prompt_tokens import PromptTokens
from appliance.worker.scheduler.sequence import Sequence
from tests.engine.conftest import MakeEngine
from tests.worker.scheduler.loop import Loop, Silent


def of(owner: str, id: int = 0, limit: int = 4) -> Sequence:
    tokens = PromptTokens(list(f"{owner}{id} ".encode()))
    return Sequence(
        id,
        tokens,
        SamplingParams(),
        sampler=Silent(),
        seed=0,
        max_completion_tokens=limit,
        owner=owner,
    )


def test_owners_take_turns_and_each_keeps_its_order() -> None:
    line = FairQueue[Sequence]()
    waiting = [of("a", id) for id in range(4)] + [of("b", id) for id in range(2)] + [of("c", 0)]
    for one in waiting:
        line.add(one)
    assert [(one.owner, one.id) for one in line] == [
        *(("a", 0), ("b", 0), ("c", 0)),
        *(("a", 1), ("b", 1)),
        *(("a", 2), ("a", 3)),
    ]
    assert len(line) == 7


def test_whoever_was_served_longest_ago_is_next_also_when_it_comes_late() -> None:
    line = FairQueue[Sequence]()
    for id in range(3):
        line.add(of("a", id))
    line.served(next(iter(line)))
    line.add(of("b"))
    assert next(iter(line)).owner == "b"
    line.served(next(iter(line)))
    line.add(of("b", 1))
    assert [one.owner for one in line] == ["a", "b", "a"]


def test_what_was_sent_back_comes_first() -> None:
    line = FairQueue[Sequence]()
    line.add(of("a"))
    line.put_back(back := of("b"))
    assert next(iter(line)) is back and back in line
    line.remove(back)
    assert [one.owner for one in line] == ["a"]
    assert back not in line


@pytest.mark.parametrize("n_slots", [1, 4])
def test_a_hundred_waiting_delay_anothers_first_by_one_generation_at_most(n_slots: int) -> None:
    loop = Loop(n_slots=n_slots)
    for id in range(100):
        loop.scheduler.add(of("greedy", id))
    for _ in range(3):
        loop.step()
    loop.scheduler.add(other := of("other", 1))
    running = [one for one in loop.scheduler.sequences() if one.slot is not None]
    assert len(running) == n_slots
    while other.slot is None:
        loop.step()
    # As soon as any running request has ended, and before any that waited.
    assert {*loop.done} & {*running} and {*loop.done} <= {*running}
    loop.run()
    assert len(loop.done) == 101


@given(st.lists(st.sampled_from("aabbbc") | st.none(), max_size=60))
def test_nobody_is_served_twice_while_another_waits(script: list[str | None]) -> None:
    """None: a slot is free."""
    line = FairQueue[Sequence]()
    passed: dict[str, Counter[str]] = {}
    """For each waiting owner: who was served since its last turn, or since it arrived."""
    for id, owner in enumerate([*script, *[None] * 60]):
        if owner is not None:
            line.add(of(owner, id))
            passed.setdefault(owner, Counter())
        elif taken := next(iter(line), None):
            line.served(taken)
            del passed[taken.owner]
            for others in passed.values():
                others[taken.owner] += 1
                assert others[taken.owner] == 1
            if any(one.owner == taken.owner for one in line):
                passed[taken.owner] = Counter()
    assert len(line) == 0 and not passed


@pytest.mark.parametrize(
    ("owners", "owner", "full"),
    [
        ("aaa", "a", False),
        ("aaaa", "a", True),
        ("aaaa", "b", False),
        ("aaaab", "b", False),
        ("aaaabb", "b", True),
        ("aaaabb", "c", False),
        ("abcd", "a", True),
        ("abcdefgh", "i", True),
    ],
)
def test_there_is_room_for_whoever_has_less_than_a_share(
    owners: str, owner: str, full: bool
) -> None:
    assert is_full(list(owners), owner, most=4) is full


def test_a_full_queue_has_room_for_another_owner(make_fake: MakeEngine) -> None:
    engine = make_fake(n_seq_max=1, max_waiting=3)
    received: list[tuple[str, SequenceEvent]] = []

    def submit(owner: str, tokens: int = 5) -> None:
        def sink(event: SequenceEvent) -> None:
            received.append((owner, event))

        sampling = SamplingParams(max_tokens=tokens)
        request = GenerationRequest(prompt=TextPrompt("x"), sampling=sampling, owner=owner)
        engine.submit(request, sink)

    submit("greedy", 1500)  # long enough for the others to arrive
    for _ in range(3):
        submit("greedy")
    with pytest.raises(QueueFull):
        submit("greedy")
    submit("other")
    deadline = time.monotonic() + 60
    while sum(isinstance(event, Finished) for _, event in list(received)) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ends = [owner for owner, event in received if isinstance(event, Finished)]
    assert ends.index("other") == 1
