"""A request that an engine has not ended yet, on the appliance's side."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from appliance.engine.protocol import Embed, Generate, SequenceEvent
from appliance.engine.types import Prompt
from appliance.errors import ApplianceError

Sink = Callable[[SequenceEvent], None]
"""Is told every event of a request."""


class Watched(Protocol):
    """A sink that looks at the events of one request and hands them on."""

    def __call__(self, event: SequenceEvent) -> None:
        """The next event."""

    def refused(self) -> None:
        """The request was not taken; there will be no event."""


Watch = Callable[[str, str, Prompt, Sink], Watched]
"""What to put before the sink of a request to a model, by id, that a caller has, by name."""


@contextmanager
def refusal_told(watched: Watched) -> Iterator[None]:
    """Around the submission of a request."""
    try:
        yield
    except ApplianceError:
        watched.refused()
        raise


class _Unwatched:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def __call__(self, event: SequenceEvent) -> None:
        self._sink(event)

    def refused(self) -> None:
        return


def unwatched(_model: str, _caller: str, _prompt: Prompt, sink: Sink) -> Watched:
    """A `Watch` that sees nothing."""
    return _Unwatched(sink)


class Request:
    """What was asked, and how far it has come."""

    def __init__(self, command: Generate | Embed, sink: Sink) -> None:
        self.command = command
        self.sink = sink
        self.sent = False
        self.accepted = False
        self.begun = False
        """Text of the reply was told: it can't be begun again in silence."""
        self.deaths = 0
