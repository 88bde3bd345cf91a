"""Requests below people's: they give way, and go on with no token lost or written twice."""

import threading
from collections.abc import Iterator

import pytest

from appliance.engine import patience
from appliance.engine.base import ModelSpec
from appliance.engine.patience import below_people
from appliance.engine.pool import Pool, ServedModel
from appliance.engine.protocol import Accepted, Delta, Finished, SequenceEvent, Terminal
from appliance.engine.types import EmbedRequest, GenerationRequest, SamplingParams, TextPrompt
from tests.engine.conftest import fake_engine
from tests.engine.fake_runner import reply_to


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
    monkeypatch.setattr(patience, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(patience, "LOAD_SECONDS", 0.1)
    slow = {"FAKE_STEP_SECONDS": "0.005"}
    spec = ModelSpec(
        id="fake", name="Fake", make=lambda: fake_engine(n_ctx=16384, environment=slow)
    )
    pool = Pool([spec], free_memory=lambda: 2**40, keep_alive_seconds=0, max_loaded=0)
    yield pool.find(None)
    pool.close()


def submitted(model: ServedModel, request: GenerationRequest) -> Collected:
    sink = Collected()
    with below_people():
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
    with below_people():
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
    with below_people():
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
