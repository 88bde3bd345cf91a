"""Encodes replies for OpenAI's Responses API."""

from collections.abc import Iterable, Sequence

from appliance.api.dialects.responses.builder import NamedEvent
from appliance.api.dialects.responses.recorder import Recorder
from appliance.api.dialects.responses.schemas import ResponseObject
from appliance.api.generation.encoder import ReplyCollector
from appliance.api.wire import streams
from appliance.engine.protocol import Finished, SequenceEvent
from appliance.errors import ApplianceError
from appliance.http.errors import error_object


class ResponseEncoder:
    """Events with a name and a number."""

    media_type = streams.MEDIA_TYPE
    keep_alive: bytes | None = streams.KEEP_ALIVE

    def __init__(self, recorder: Recorder, *, after: int = -1) -> None:
        """
        Args:
            recorder: which has the whole answer.
            after: the number of the last event that is not sent.
        """
        self._builder = recorder.builder()
        self._recorder = recorder
        self._after = after
        self._number = 0

    def start(self) -> bytes:
        """The response, before it has any output."""
        return self._written(self._builder.begin())

    def event(self, index: int, event: SequenceEvent) -> bytes:
        """What is new, in as many events as it takes."""
        whole = self._recorder.response
        if isinstance(event, Finished) and not whole.store:
            self._builder.not_stored()
        self._builder.completed_at = whole.completed_at
        return self._written(self._builder.add(event))

    def finish(self) -> bytes:
        """Nothing: the last event says so."""
        return b""

    def error(self, error: ApplianceError) -> bytes:
        """The two last events of a stream that fails: clients look for either."""
        found = error_object(error)
        fields = {"code": found.code, "message": found.message, "param": found.param}
        failed = self._builder.fail(found.code, found.message)
        return self._written([*failed, ("error", fields)])

    def _written(self, events: Iterable[NamedEvent]) -> bytes:
        out = b""
        for name, fields in events:
            if self._number > self._after:
                data = {"type": name, "sequence_number": self._number, **fields}
                out += streams.event(data, name)
            self._number += 1
        return out

    def whole(self, replies: Sequence[ReplyCollector]) -> ResponseObject:
        """The answer that is not streamed."""
        return self._recorder.response
