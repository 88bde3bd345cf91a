"""A request that an engine has not ended yet, on the appliance's side."""

from collections.abc import Callable

from appliance.engine.protocol import Finished, Generate, SequenceEvent, Timings

Sink = Callable[[SequenceEvent], None]
"""Is told every event of a request."""


class Request:
    """What was asked, and how far it has come."""

    def __init__(self, command: Generate, sink: Sink) -> None:
        self.command = command
        self.sink = sink
        self.sent = False
        self.accepted = False
        self.begun = False
        """Text of the reply was told: it can't be begun again in silence."""
        self.deaths = 0


def cancelled(id: int) -> Finished:
    """The end of a request that no worker has seen."""
    return Finished(
        id=id,
        reason="cancelled",
        prompt_tokens=0,
        cached_tokens=0,
        completion_tokens=0,
        timings=Timings(queued=0, prefill=0, decode=0),
    )
