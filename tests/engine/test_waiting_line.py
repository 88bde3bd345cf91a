"""Requests for models that share a place: everybody's turn comes, and nobody is refused for it.

With engines in this process whose requests end when the test says so: what counts is who is loaded
when, and who waits.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.engine.base import EngineState, ModelSpec
from appliance.engine.counters import Counters
from appliance.engine.protocol import (
    Accepted,
    Begun,
    Embedded,
    EventSink,
    Failed,
    Finished,
    Queued,
    SequenceEvent,
    Terminal,
    cancelled,
)
from appliance.engine.serving import waiting_line as module
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.engine.types import EmbedRequest, GenerationRequest, SamplingParams, TextPrompt
from appliance.errors import ModelLoadFailed, QueueFull, ShuttingDown, Unavailable
from tests.waiting import wait_until


class Manual:
    """An engine that is loaded at once, and whose requests end when they are ended."""

    worker_pid = None
    counters = Counters()

    def __init__(self, name: str, loads: list[str]) -> None:
        self.state = EngineState(status="loading")
        self.open: dict[int, EventSink] = {}
        self._name, self._loads = name, loads
        self._count = 0
        self._retired = False

    @property
    def busy(self) -> bool:
        return bool(self.open)

    def start(self) -> None:
        self._loads.append(self._name)
        self.state = EngineState(status="ready")

    def submit(
        self, request: GenerationRequest, sink: EventSink, begun: Begun | None = None
    ) -> int:
        del request, begun
        if self._retired:
            raise ShuttingDown
        self._count += 1
        self.open[self._count] = sink
        sink(Accepted(self._count, 1, 0))
        return self._count

    def embed(self, request: EmbedRequest, sink: EventSink) -> int:
        id = self.submit(GenerationRequest(prompt=TextPrompt(""), sampling=SamplingParams()), sink)
        self.end(id, Embedded(id, [], 1))
        del request
        return id

    def end(self, id: int, event: Terminal) -> None:
        self.open.pop(id)(event)

    def cancel(self, id: int) -> None:
        if id in self.open:
            self.end(id, cancelled(id))

    def forget(self, session: str) -> None:
        raise NotImplementedError

    def retire(self) -> bool:
        self._retired = not self.open
        return self._retired

    def close(self) -> None:
        self._retired = True
        for id in list(self.open):
            self.end(id, Failed(id, "shutting_down", "closed"))
        self.state = EngineState(status="stopped")


class Asked:
    """One request, and what its caller received."""

    def __init__(self, model: ServedModel, owner: str = "", *, vectors: bool = False) -> None:
        self.events: list[SequenceEvent] = []
        self.model = model
        if vectors:
            self.cancel = model.embed(EmbedRequest(inputs=[], owner=owner), self.events.append)
        else:
            prompt, sampling = TextPrompt("hi"), SamplingParams()
            request = GenerationRequest(prompt=prompt, sampling=sampling, owner=owner)
            self.cancel = model.submit(request, self.events.append)

    @property
    def places(self) -> list[int]:
        return [event.position for event in self.events if isinstance(event, Queued)]

    @property
    def accepted(self) -> bool:
        return any(isinstance(event, Accepted) for event in self.events)

    @property
    def end(self) -> Terminal | None:
        ends = [event for event in self.events if isinstance(event, Terminal)]
        assert len(ends) <= 1
        return ends[0] if ends else None

    def wait_accepted(self) -> "Asked":
        wait_until(lambda: self.accepted, "its turn does not come")
        return self

    def finish(self) -> None:
        """The reply ends."""
        self.wait_accepted().cancel()
        assert isinstance(self.end, Finished)


class House:
    """A pool in which one model has room at a time."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        """Models in the order in which they were loaded."""
        self.faults: dict[str, str] = {}
        self.needs = dict.fromkeys("abc", 0)
        self.free = 100
        self.pool = self._pool()

    def _pool(self) -> Pool:
        specs = [
            ModelSpec(id=name, name=name, make=self._maker(name), need=self._need(name))
            for name in "abc"
        ]
        return Pool(
            specs,
            free_memory=lambda: self.free,
            keep_alive_seconds=0,
            max_loaded=1,
            max_waiting=6,
        )

    def _maker(self, name: str) -> Callable[[], Any]:
        return lambda: Manual(name, self.loads)

    def _need(self, name: str) -> Callable[[], int]:
        def need() -> int:
            if name in self.faults:
                raise ModelLoadFailed(self.faults[name])
            return self.needs[name]

        return need

    def ask(self, name: str, owner: str = "", **kind: bool) -> Asked:
        return Asked(self.pool.find(name), owner, **kind)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    for name in ("TURN_SECONDS", "GRACE_SECONDS"):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.005)
    made = House()
    yield made
    made.pool.close()


def test_another_model_waits_until_the_reply_ends_and_its_place_is_reported(house: House) -> None:
    first = house.ask("a")
    second, third, fourth = house.ask("b"), house.ask("b"), house.ask("c")
    wait_until(lambda: fourth.places == [3], "no place is reported")
    assert (second.places, third.places) == ([1], [2])
    assert house.loads == ["a"]
    assert not second.accepted
    first.finish()
    second.wait_accepted()
    third.wait_accepted()
    wait_until(lambda: fourth.places[-1] == 1, "its place does not change")
    second.finish()
    third.finish()
    fourth.finish()
    assert house.loads == ["a", "b", "c"]
    assert not house.pool.busy


def test_vectors_beside_a_chat(house: House) -> None:
    """A chat and a knowledge base on a small machine: neither fails."""
    chat = house.ask("a")
    vectors = [house.ask("b", vectors=True) for _ in range(3)]
    wait_until(lambda: vectors[2].places == [3], "they do not wait")
    again = house.ask("a")
    assert not again.accepted
    chat.finish()
    for one in vectors:
        wait_until(lambda one=one: isinstance(one.end, Embedded), "no vectors")  # type: ignore[misc]
    again.finish()
    assert house.loads == ["a", "b", "a"]


def test_a_model_that_everybody_wants_starves_no_other(house: House) -> None:
    """Whoever asks for `a` again and again, waits behind whoever asked for `b`."""
    running = [house.ask("a")]
    rare = house.ask("b", "somebody")
    wait_until(lambda: rare.places == [1], "it does not wait")
    for _ in range(3):
        # The turn of `a` is over: what is new waits, what runs goes on.
        running.append(house.ask("a", "everybody"))
        assert not running[-1].accepted
        time.sleep(0.02)
    running[0].finish()
    rare.finish()
    for one in running[1:]:
        one.finish()
    assert house.loads == ["a", "b", "a"]


def test_within_its_turn_a_model_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people who use two models by turns don't have them loaded for each request."""
    monkeypatch.setattr(module, "TURN_SECONDS", 3600.0)
    monkeypatch.setattr(module, "GRACE_SECONDS", 3600.0)
    first = house.ask("a")
    waits = house.ask("b")
    wait_until(lambda: waits.places == [1], "it does not wait")
    for _ in range(5):
        more = house.ask("a")
        assert more.accepted
        first.finish()
        first = more
    first.finish()
    time.sleep(0.05)
    assert not waits.accepted  # another request may be on its way
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.0)
    waits.finish()
    assert house.loads == ["a", "b"]


def test_a_turn_takes_so_many_requests(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_REQUESTS", 2)
    monkeypatch.setattr(module, "TURN_SECONDS", 3600.0)
    first = house.ask("a")
    many = [house.ask("b", f"owner {i}") for i in range(3)]
    other = house.ask("c")
    first.finish()
    many[0].wait_accepted()
    many[1].wait_accepted()
    time.sleep(0.05)
    assert not many[2].accepted
    monkeypatch.setattr(module, "TURN_SECONDS", 0.0)
    many[0].finish()
    many[1].finish()
    other.finish()  # before the third that wanted `b` earlier
    assert not many[2].accepted
    many[2].finish()
    assert house.loads == ["a", "b", "c", "b"]


def test_who_leaves_the_line_is_out_of_it(house: House) -> None:
    first = house.ask("a")
    gone, stays = house.ask("b"), house.ask("c")
    wait_until(lambda: stays.places == [2], "it does not wait")
    gone.cancel()
    gone.cancel()
    assert isinstance(gone.end, Finished)
    assert gone.end.reason == "cancelled"
    wait_until(lambda: stays.places == [2, 1], "its place does not change")
    first.finish()
    stays.finish()
    assert house.loads == ["a", "c"]
    assert len(gone.events) == 2  # a place, and the end


def test_the_line_is_bounded_and_nobody_fills_it_for_others(house: House) -> None:
    house.ask("a")
    waiting = [house.ask("b", "greedy") for _ in range(6)]
    with pytest.raises(QueueFull, match="6 requests wait"):
        house.ask("b", "greedy")
    other = house.ask("b", "modest")
    house.pool.close()
    for one in (*waiting, other):
        assert isinstance(one.end, Failed)
        assert one.end.code == "shutting_down"


def test_the_wait_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 0.05)
    first, second = house.ask("a"), house.ask("b")
    wait_until(lambda: second.end is not None, "it waits for ever")
    assert isinstance(second.end, Failed)
    assert second.end.code == "unavailable"
    first.finish()


def test_a_model_that_cannot_be_loaded_fails_those_who_wait_for_it_alone(house: House) -> None:
    first, bad, good = house.ask("a"), house.ask("b"), house.ask("c")
    wait_until(lambda: good.places == [2], "it does not wait")
    house.faults["b"] = "it is broken"
    first.finish()
    good.finish()
    assert isinstance(bad.end, Failed)
    assert (bad.end.code, bad.end.message) == ("model_load_failed", "it is broken")


def test_a_model_that_is_removed_while_it_is_waited_for(house: House) -> None:
    first, gone, good = house.ask("a"), house.ask("b"), house.ask("c")
    wait_until(lambda: good.places == [2], "it does not wait")
    house.pool.remove(["b"])
    first.finish()
    good.finish()
    assert isinstance(gone.end, Failed)
    assert gone.end.code == "model_not_found"


def test_what_is_too_large_for_the_machine_is_refused_in_the_end(house: House) -> None:
    first = house.ask("a")
    house.needs["b"] = 1000
    large = house.ask("b")
    first.finish()
    wait_until(lambda: large.end is not None, "it waits for ever")
    assert isinstance(large.end, Failed)
    assert large.end.code == "model_load_failed"


def test_full_memory_is_waited_for_as_well(house: House) -> None:
    house.pool.close()
    house.pool = Pool(
        [it.spec for it in house.pool.models()],
        free_memory=lambda: house.free,
        keep_alive_seconds=0,
        max_loaded=0,
    )
    first = house.ask("a")
    house.needs["b"] = house.free + 1
    second = house.ask("b")
    assert not second.accepted
    house.free += 1
    second.finish()
    first.finish()
    assert house.loads == ["a", "b"]


def test_who_only_loads_does_not_wait(house: House) -> None:
    first = house.ask("a")
    with pytest.raises(Unavailable):
        house.pool.find("b").load()
    waits = house.ask("c")
    first.finish()
    waits.finish()


def test_many_people_and_three_models(house: House) -> None:
    """Requests from ten threads at once, cancelled ones among them: each ends exactly once."""
    asked: list[Asked] = []
    lock = threading.Lock()

    def person(number: int) -> None:
        for turn in range(12):
            try:
                one = house.ask("abc"[(number + turn) % 3], str(number))
            except QueueFull:
                continue
            with lock:
                asked.append(one)
            if turn % 4:
                one.finish()
            else:
                one.cancel()

    people = [threading.Thread(target=person, args=(number,)) for number in range(10)]
    for thread in people:
        thread.start()
    for thread in people:
        thread.join(120)
        assert not thread.is_alive()
    assert all(one.end for one in asked)
    assert len(asked) > 60
    assert not house.pool.busy
