"""What the pool needs of an engine, whether it is a worker's or runs elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from appliance.engine.counters import Counters
from appliance.engine.device_routing import GivenUp
from appliance.engine.protocol import Load, ModelInfo, SequenceEvent, Sink
from appliance.engine.types import EmbedRequest, GenerationRequest
from appliance.errors import ApplianceError

Status = Literal["unloaded", "loading", "ready", "failing", "failed", "stopped"]
"""`failing`: it is loaded, but its workers died at the last requests."""


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is doing, for people and for `/readiness`."""

    status: Literal["unloaded", "loading", "ready", "failed", "stopped"]
    progress: float = 0.0
    detail: str | None = None
    model: ModelInfo | None = None
    trouble: str | None = None
    """It is loaded, and yet there is no saying that it answers: its workers died at the last
    requests, and how."""
    restarts: int = 0
    quarantined: bool = False
    """It failed in a way that trying again by itself will not mend."""
    since: float = msgspec.field(default_factory=time.monotonic)
    """When this began; `time.monotonic()`."""

    @property
    def word(self) -> Status:
        """What people are told that it is."""
        return "failing" if self.trouble else self.status


class Loaded(Protocol):
    """An engine."""

    @property
    def state(self) -> EngineState: ...

    @property
    def busy(self) -> bool:
        """Requests are in flight."""

    @property
    def counters(self) -> Counters:
        """What it has done."""

    @property
    def worker_pid(self) -> int | None:
        """Process id of its worker, if it has one here."""

    def start(self) -> None:
        """Begin to load; returns at once."""

    def submit(self, request: GenerationRequest, sink: Sink) -> int:
        """Have a prompt completed; see `Engine.submit`."""

    def embed(self, request: EmbedRequest, sink: Sink) -> int:
        """Have vectors made of the inputs; see `Engine.embed`."""

    def cancel(self, id: int) -> None:
        """End a request."""

    def forget(self, session: str) -> None:
        """A session was deleted."""

    def retire(self) -> bool:
        """Take nothing more, unless requests are in flight; whether that is so now."""

    def close(self) -> None:
        """Free everything; every open request fails."""


class ObservedSink(Protocol):
    """A sink that sees the events of one request and hands them on."""

    def __call__(self, event: SequenceEvent) -> None:
        """The next event."""

    def refused(self) -> None:
        """The request was not taken; there will be no event."""


Observer = Callable[[str, GenerationRequest, Sink], ObservedSink]
"""What to put before the sink of a request to a model, by id."""


@contextmanager
def refusal_observed(sink: ObservedSink) -> Iterator[None]:
    """Around the submission of a request."""
    try:
        yield
    except ApplianceError:
        sink.refused()
        raise


class _Unobserved:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def __call__(self, event: SequenceEvent) -> None:
        self._sink(event)

    def refused(self) -> None:
        return


def unobserved(_model: str, _request: GenerationRequest, sink: Sink) -> ObservedSink:
    """An `Observer` that sees nothing."""
    return _Unobserved(sink)


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is on offer."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    """What else it may be asked for as; weaker than any model's id or name."""
    make: Callable[[], Loaded]
    """An engine for it, not started yet."""
    on_device: Callable[[str], Loaded] | None = None
    """An engine for it on a certain device, if that can be chosen."""
    load: Callable[[], Load] | None = None
    """How its engine loads it, if that is a worker's that may use GPUs.

    Raises ModelLoadFailed when its file is not there or cannot be read."""
    given_up: GivenUp = msgspec.field(default_factory=GivenUp)
    """Devices that its engines do not use."""
    need: Callable[[], int] = lambda: 0
    """Bytes of memory that loading takes; 0: unknown or none of this machine's.

    Raises ModelLoadFailed when the file cannot be loaded anyway."""
    file: Callable[[], Path | None] = lambda: None
    """The whole GGUF that llama.cpp runs on this machine; None: it is something else.

    Raises ModelLoadFailed when it is not there."""
    stamp: Callable[[], object] = lambda: None
    """Another one, once its file is: what failed may load now."""
    prewarm: bool = False
