"""The sequences of a stateless request: their events as one feed, and the feed as a stream."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from appliance.api.generation.encoder import Encoder
from appliance.api.wire.streams import FeedStream
from appliance.engine.protocol import Accepted, EventSink, Failed, Finished, Queued, SequenceEvent
from appliance.errors import ApplianceError, from_code


def error_of(event: Failed) -> ApplianceError:
    """Why a sequence failed."""
    return from_code(event.code, event.message, event.param)


class ChoiceEvent(NamedTuple):
    """An event of one choice, by its index."""

    choice: int
    event: SequenceEvent


class SequenceFeed:
    """The events of all choices of a request, in order of arrival."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._events: deque[ChoiceEvent] = deque()
        self._answered = threading.Event()
        self._first: SequenceEvent | None = None
        self.accepted: Accepted | None = None
        """Of the first choice that was."""
        self._cancels: list[Callable[[], None]] = []

    def sink(self, choice: int) -> EventSink:
        """What the engine calls with the events of a choice (any thread)."""

        def put(event: SequenceEvent) -> None:
            self._events.append(ChoiceEvent(choice, event))
            # A refusal of any choice decides; a place in line says nothing yet.
            if not isinstance(event, Queued):
                if self._first is None or isinstance(event, Failed):
                    self._first = event
                self._answered.set()
            if self.accepted is None and isinstance(event, Accepted):
                self.accepted = event
            self.wake()

        return put

    def submitted(self, cancel: Callable[[], None]) -> None:
        """The engine has the next choice; `cancel` ends it."""
        self._cancels.append(cancel)

    def cancel(self, choice: int) -> None:
        """End one choice, if the engine has it already."""
        for cancel in self._cancels[choice : choice + 1]:
            cancel()

    def wait_answered(self, timeout: float) -> None:
        """Wait for the engine's first event, `timeout` seconds at most.

        Raises:
            ApplianceError: it was a refusal; the other choices are cancelled.
        """
        self._answered.wait(timeout)
        if isinstance(self._first, Failed):
            self.close()
            raise error_of(self._first)

    def take(self) -> list[ChoiceEvent]:
        """Events since the last call."""
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def close(self) -> None:
        """Cancel what has not ended."""
        for cancel in self._cancels:
            cancel()


class SequenceStream(FeedStream[ChoiceEvent]):
    """A request's choices, written by an encoder. They are cancelled if the client disconnects."""

    def __init__(self, feed: SequenceFeed, choices: int, encoder: Encoder[Any]) -> None:
        """`choices`: how many have to finish."""
        super().__init__(feed)
        self.media_type = encoder.media_type
        self.keep_alive = encoder.keep_alive
        self._open = choices
        self._encoder = encoder
        self._started = False

    def encode(self, event: ChoiceEvent) -> bytes:
        choice, what = event
        if isinstance(what, Failed):
            self.finished = True
            return self.encode_error(error_of(what))
        out = b"" if self._started else self._encoder.start()
        self._started = True
        out += self._encoder.event(choice, what)
        if isinstance(what, Finished):
            self._open -= 1
            if not self._open:
                self.finished = True
                out += self._encoder.finish()
        return out

    def encode_error(self, error: ApplianceError) -> bytes:
        return self._encoder.error(error)
