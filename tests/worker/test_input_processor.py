"""Texts of several requests are tokenized in turns: long ones do not delay short ones, and requests
can be cancelled meanwhile."""

import queue
import re
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from appliance.engine.protocol import Accepted, Cancel, Embed, Event, Failed, Finished, Generate
from appliance.engine.types import EmbedRequest, GenerationRequest, SamplingParams, TextPrompt
from appliance.worker.chat_template.sandbox import SandboxedGrammars, SandboxedTemplate
from appliance.worker.input_processor import InputProcessor
from appliance.worker.runners.slices import SLICE
from appliance.worker.scheduler.written_tokens import WrittenTokens
from tests.engine.conftest import load_of
from tests.engine.fake_runner import FakeRunner

WAIT = 60.0
LONG = "word " * (SLICE * 5 // 5)


class Reader(FakeRunner):
    """Calls a function with every text before it is tokenized."""

    cuts = re.compile(r"(?<=[a-z]) ")

    def __init__(self, on_text: Callable[[str], None]) -> None:
        super().__init__(load_of("fake", n_ctx=100 * SLICE), lambda *_: None)
        self._on_text = on_text

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        self._on_text(text)
        return super().tokenize(text, parse_special=parse_special)


class Intake:
    """An input processor, its events, and the requests that it handed over."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.handed: queue.Queue[Any] = queue.Queue()
        self.runner = Reader(on_text)
        self.processor = InputProcessor(
            self.runner,
            cast(SandboxedTemplate, None),
            cast(SandboxedGrammars, _NoGrammars()),
            self._emit,
            self.handed.put,
            WrittenTokens(),
        )

    def _emit(self, events: list[Event]) -> None:
        for event in events:
            self.events.put(event)

    def ask(self, id: int, text: str) -> None:
        request = GenerationRequest(prompt=TextPrompt(text), sampling=SamplingParams())
        self.processor.put(Generate(id, request))

    def next(self) -> Any:
        return self.events.get(timeout=WAIT)


class _NoGrammars:
    refusal = None


def test_a_short_one_goes_before_the_rest_of_a_long_one() -> None:
    slices: list[str] = []
    begun, asked, short_is_read = threading.Event(), threading.Event(), threading.Event()

    def on_text(text: str) -> None:
        if text == "short":
            short_is_read.set()
            return
        slices.append(text)
        begun.set()
        assert asked.wait(WAIT)
        if len(slices) == 3:
            assert short_is_read.wait(WAIT), "the short one waits for all of the long one"

    intake = Intake(on_text)
    intake.ask(1, LONG)
    assert begun.wait(WAIT)
    intake.ask(2, "short")
    asked.set()
    first, second = intake.next(), intake.next()
    assert (first.id, second.id) == (2, 1)
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert second.prompt_tokens == len(LONG)
    assert "".join(slices) == LONG
    assert [intake.handed.get(timeout=WAIT).id for _ in range(2)] == [2, 1]


def test_the_one_that_is_read_can_be_cancelled() -> None:
    slices: list[str] = []
    begun, cancelled = threading.Event(), threading.Event()

    def on_text(text: str) -> None:
        slices.append(text)
        begun.set()
        assert cancelled.wait(WAIT)

    intake = Intake(on_text)
    intake.ask(1, LONG)
    assert begun.wait(WAIT)
    intake.processor.put(Cancel(1))
    cancelled.set()
    end = intake.next()
    assert isinstance(end, Finished)
    assert (end.id, end.reason) == (1, "cancelled")
    assert len(slices) == 1
    assert intake.handed.empty()
    assert intake.runner.open_samplers == 0


def test_one_in_the_line_can_be_cancelled_while_another_is_read() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def on_text(_: str) -> None:
        begun.set()
        assert go_on.wait(WAIT)

    intake = Intake(on_text)
    intake.ask(1, "first")
    assert begun.wait(WAIT)
    for id in (2, 3, 4):
        intake.ask(id, "waits")
    assert intake.processor.reading()[0] == 1
    intake.processor.put(Cancel(3))
    end = intake.next()
    assert isinstance(end, Finished)
    assert end.id == 3
    go_on.set()
    assert [intake.next().id for _ in range(3)] == [1, 2, 4]  # in the order in which they came


def test_a_cancel_for_one_that_was_handed_over_follows_it() -> None:
    intake = Intake(lambda _: None)
    intake.ask(1, "text")
    assert isinstance(intake.next(), Accepted)
    assert intake.handed.get(timeout=WAIT).id == 1
    intake.processor.put(Cancel(1))
    assert intake.handed.get(timeout=WAIT) == Cancel(1)
    assert intake.processor.reading() == (0, 0.0)


def test_inputs_of_one_request_are_read_in_turns_too() -> None:
    read: list[str] = []
    begun, asked, short_is_read = threading.Event(), threading.Event(), threading.Event()

    def on_text(text: str) -> None:
        read.append(text)
        begun.set()
        assert asked.wait(WAIT)
        if text == "short":
            short_is_read.set()
        elif len(read) == 5:
            assert short_is_read.wait(WAIT)

    intake = Intake(on_text)
    intake.processor.put(Embed(1, EmbedRequest(inputs=[TextPrompt("input")] * 50)))
    assert begun.wait(WAIT)
    intake.ask(2, "short")
    asked.set()
    assert [intake.next().id for _ in range(2)] == [2, 1]


@pytest.mark.parametrize("count", [40])
def test_a_failing_request_holds_nothing(count: int) -> None:
    intake = Intake(lambda _: None)
    for id in range(1, count + 1):
        intake.ask(id, "" if id % 2 else "text")
    ends = [intake.next() for _ in range(count)]
    assert {end.id for end in ends if isinstance(end, Failed)} == set(range(1, count + 1, 2))
    assert {end.id for end in ends if isinstance(end, Accepted)} == set(range(2, count + 1, 2))
