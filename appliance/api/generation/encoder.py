"""The encoder of an API's replies, and a reply assembled from its deltas."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from appliance.engine.protocol import Accepted, CallDelta, Delta, Finished, Logprobs, SequenceEvent
from appliance.errors import ApplianceError

Whole_co = TypeVar("Whole_co", covariant=True)

StopReason = Literal["stop", "length", "tool_calls"]


def stop_reason(event: Finished) -> StopReason:
    """Why a sequence ended. If it was cancelled, nobody reads the reason."""
    return "stop" if event.reason == "cancelled" else event.reason


@dataclass(slots=True)
class ReplyCollector:
    """The reply of one sequence so far."""

    text: str = ""
    reasoning: str = ""
    calls: list[CallDelta] = field(default_factory=list)
    logprobs: list[Logprobs] | None = None
    fingerprint: str | None = None
    """Of what computes it; None: unknown."""
    n_ctx: int | None = None
    """Tokens that the sequence may span; None: unknown."""
    seed: int | None = None
    finished: Finished | None = None

    def add(self, event: SequenceEvent) -> None:
        """The next event of the sequence."""
        if isinstance(event, Finished):
            self.finished = event
        elif isinstance(event, Accepted):
            self.fingerprint = event.fingerprint or None
            self.n_ctx = event.n_ctx
            self.seed = event.seed
        elif isinstance(event, Delta):
            self._add(event)

    def _add(self, delta: Delta) -> None:
        self.text += delta.text
        self.reasoning += delta.reasoning
        if delta.logprobs is not None:
            self.logprobs = [*(self.logprobs or ()), *delta.logprobs]
        for call in delta.calls:
            if call.id is not None:
                self.calls.append(call)
            else:
                before = self.calls[-1]
                self.calls[-1] = CallDelta(
                    before.index, before.id, before.name, before.arguments + call.arguments
                )


class Encoder(Protocol[Whole_co]):
    """Writes the answer to one request, in the format of one API. It may keep state."""

    media_type: str
    """The media type of a streamed response."""
    keep_alive: bytes | None
    """What a stream sends after a long silence; None: nothing."""

    def start(self) -> bytes:
        """What a stream begins with, before its first event."""

    def event(self, index: int, event: SequenceEvent) -> bytes:
        """An event of one choice, by its index; empty if the format has nothing for it."""

    def finish(self) -> bytes:
        """What a stream ends with, after the last event of every choice."""

    def error(self, error: ApplianceError) -> bytes:
        """What a stream ends with if it fails."""

    def whole(self, replies: Sequence[ReplyCollector]) -> Whole_co:
        """The answer that is not streamed; every reply has finished."""
