"""Requests of low priority: they give way, and go on with no token lost or written twice."""

import threading
from collections.abc import Callable, Iterator

import pytest

from appliance.engine.base import ModelSpec
from appliance.engine.protocol import (
    Accepted,
    Begun,
    Delta,
    EventSink,
    Failed,
    Finished,
    SequenceEvent,
    Terminal,
    cancelled,
)
from appliance.engine.serving import low_priority as module
from appliance.engine.serving.low_priority import LowPriorityQueue, low_priority
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.engine.types import EmbedRequest, GenerationRequest, SamplingParams, TextPrompt
from tests.engine.conftest import fake_engine
from tests.engine.fake_runner import reply_to
from tests.waiting import wait_until


class Collected:
    """The events of one request."""

    def __init__(self) -> None:
        self.events: list[SequenceEvent] = []
        self.begun, self.ended = threading.Event(), threading.Event()

    def __call__(self, event: SequenceEvent) -> None:
        self.events.append(event)
        if isinstance(event, Delta):
            self.begun.set()
        if isinstance(event, Terminal):
            self.ended.set()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))


def asked(prompt: str, tokens: int, owner: str = "") -> GenerationRequest:
    return GenerationRequest(
        prompt=TextPrompt(prompt), sampling=SamplingParams(max_tokens=tokens), owner=owner
    )


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedModel]:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(module, "LOAD_SECONDS", 0.1)
    slow = {"FAKE_STEP_SECONDS": "0.005"}
    spec = ModelSpec(
        id="fake", name="Fake", make=lambda: fake_engine(n_ctx=16384, environment=slow)
    )
    pool = Pool([spec], free_memory=lambda: 2**40, keep_alive_seconds=0, max_loaded=0)
    yield pool.find(None)
    pool.close()


def submitted(model: ServedModel, request: GenerationRequest) -> Collected:
    sink = Collected()
    with low_priority():
        model.submit(request, sink)
    return sink


def test_it_gives_way_to_people_and_goes_on_where_it_was(model: ServedModel) -> None:
    patient = submitted(model, asked("patient", 300))
    assert patient.begun.wait(60)
    for number in range(3):
        person = Collected()
        model.submit(asked(f"person {number}", 20), person)
        assert person.ended.wait(60)
        assert person.text == reply_to(f"person {number}", 20)
        assert not patient.ended.is_set()
    assert patient.ended.wait(60)
    assert patient.text == reply_to("patient", 300)
    assert sum(isinstance(event, Accepted) for event in patient.events) == 1
    last = patient.events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.completion_tokens) == ("length", 300)


def test_none_runs_beside_a_persons(model: ServedModel) -> None:
    person = Collected()
    cancel = model.submit(asked("person", 5000), person)
    assert person.begun.wait(60)
    waiting = submitted(model, asked("patient", 5))
    vectors = Collected()
    with low_priority():
        model.embed(EmbedRequest(inputs=[TextPrompt("x")]), vectors)
    assert not waiting.begun.wait(1)
    assert vectors.events == []
    cancel()
    assert waiting.ended.wait(60)
    assert waiting.text == reply_to("patient", 5)
    assert vectors.ended.wait(60)


def test_it_can_be_cancelled_at_any_time(model: ServedModel) -> None:
    person = Collected()
    sinks = [Collected(), Collected()]
    with low_priority():
        cancels = [model.submit(asked("patient", 5000), sink) for sink in sinks]
    assert sinks[0].begun.wait(60)
    cancels[0]()
    assert sinks[0].ended.wait(60)
    let_person_go = model.submit(asked("person", 5000), person)
    assert person.begun.wait(60)
    cancels[1]()
    for sink in sinks:
        assert sink.ended.wait(60)
        last = sink.events[-1]
        assert isinstance(last, Finished)
        assert last.reason == "cancelled"
    let_person_go()


def test_one_that_gives_way_while_all_is_closed_ends(model: ServedModel) -> None:
    """Without a terminal event, whoever reads it would wait for ever."""
    ends: list[SequenceEvent] = []
    given: list[EventSink] = []

    def start(sink: EventSink, begun: Begun | None) -> Callable[[], None]:
        given.append(sink)
        return lambda: None

    waits = LowPriorityQueue()
    with low_priority():
        waits.submit(start, ends.append, None, lambda: True)
    wait_until(lambda: bool(given), "never begun")
    given[0](Accepted(0, 3, 7))
    cancel = waits.submit(lambda sink, _: lambda: sink(cancelled(0)), lambda _: None, None, bool)
    waits.close()
    given[0](cancelled(0, 3))
    assert [type(event) for event in ends] == [Accepted, Finished]
    cancel()


def test_one_that_cannot_be_submitted_stops_no_other(model: ServedModel) -> None:
    def broken(sink: EventSink, begun: Begun | None) -> Callable[[], None]:
        raise TypeError("a fault of ours")

    waits = LowPriorityQueue()
    ends: list[SequenceEvent] = []
    with low_priority():
        waits.submit(broken, ends.append, None, lambda: True)
        wait_until(lambda: bool(ends), "never ended")
        waits.submit(broken, ends.append, None, lambda: True)
    wait_until(lambda: len(ends) == 2, "its thread is gone")
    assert all(isinstance(event, Failed) for event in ends)
    waits.close()
