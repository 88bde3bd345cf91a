"""The stream of a response that is generated in the background: read from any event, any number of
times, by anybody who may see the response."""

from collections.abc import Callable, Sequence

from appliance.api.dialects.responses.encoder import ResponseEncoder
from appliance.api.dialects.responses.recorder import LogEvent, Recorder
from appliance.api.wire.streams import FeedStream
from appliance.engine.protocol import Accepted, Delta, Prefill
from appliance.errors import ApplianceError


class LogFeed:
    """What is stored of a response's log, as it grows: whatever was sent once can be sent again,
    also after a kill."""

    def __init__(self, recorder: Recorder) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._recorder = recorder
        self._attempt = recorder.attempt
        self._taken = 0
        recorder.followers.add(self._woken)

    def take(self) -> Sequence[LogEvent | None]:
        """Events since the last call; None: what was sent is no longer so."""
        if self._attempt != self._recorder.attempt:
            return [None]
        shown = self._recorder.shown
        events = self._recorder.log[self._taken : shown]
        self._taken = shown
        return events

    def _woken(self) -> None:
        self.wake()

    def close(self) -> None:
        """The response goes on."""
        self._recorder.followers.discard(self._woken)


class FollowingStream(FeedStream[LogEvent | None]):
    """Its events after one of them."""

    def __init__(self, recorder: Recorder, after: int = -1) -> None:
        """`after`: the number of the last event that is not sent."""
        super().__init__(LogFeed(recorder))
        self._encoder = ResponseEncoder(recorder, after=after)
        self._started = False

    def read(self) -> bytes:
        begin = b"" if self._started else self._encoder.start()
        self._started = True
        return begin + super().read()

    def encode(self, event: LogEvent | None) -> bytes:
        if event is None:
            self.finished = True
        if event is None or isinstance(event, Accepted | Prefill):
            return b""
        self.finished = not isinstance(event, Delta)
        return self._encoder.event(0, event)

    def encode_error(self, error: ApplianceError) -> bytes:
        """The response itself has not failed: its client comes back for the rest."""
        return f": {error.message}\n\n".encode()
