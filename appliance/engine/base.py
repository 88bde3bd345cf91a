"""The contract of an engine, whether it has a worker process here or runs elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from appliance.engine.counters import Counters
from appliance.engine.device_routing import ExcludedDevices
from appliance.engine.protocol import Begun, EventSink, Load, ModelInfo, SequenceEvent
from appliance.engine.types import EmbedRequest, GenerationRequest, TextRequest
from appliance.errors import ApplianceError

EngineStatus = Literal["unloaded", "loading", "ready", "failing", "failed", "stopped"]
"""`failing`: it is loaded, but its workers died at the last requests."""


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is doing, for people and for `/readiness`."""

    status: Literal["unloaded", "loading", "ready", "failed", "stopped"]
    progress: float = 0.0
    detail: str | None = None
    model: ModelInfo | None = None
    trouble: str | None = None
    """How its workers died at the last requests: it is loaded, and may not answer all the same."""
    restarts: int = 0
    quarantined: bool = False
    """It failed in a way that a retry will not mend."""
    since: float = msgspec.field(default_factory=time.monotonic)
    """When this began; `time.monotonic()`."""

    @property
    def word(self) -> EngineStatus:
        """The status for people."""
        return "failing" if self.trouble else self.status


class Engine(Protocol):
    """One model, loaded or about to be. Thread-safe."""

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
        """Process id of its worker, if it has one."""

    def start(self) -> None:
        """Begin to load; returns at once."""

    def submit(
        self, request: GenerationRequest, sink: EventSink, begun: Begun | None = None
    ) -> int:
        """Have a prompt completed; `sink` gets every event, the last one being terminal.

        `begun`: the beginning of the reply, which is not sent again. An engine whose deltas have no
        tokens writes it anew.

        Returns the id to cancel by.

        Raises:
            QueueFull, ShuttingDown, ModelLoadFailed: nothing was submitted.
        """

    def embed(self, request: EmbedRequest | TextRequest, sink: EventSink) -> int:
        """Have vectors made of the inputs; like `submit`, and the terminal event is `Embedded`
        if all goes well."""

    def cancel(self, id: int) -> None:
        """End a request."""

    def forget(self, session: str) -> None:
        """A session was deleted."""

    def retire(self) -> bool:
        """Accept no more requests, unless some are in flight; whether that is so now."""

    def close(self) -> None:
        """Free everything; every open request fails."""


class ObservedSink(Protocol):
    """A sink that sees the events of one request and hands them on."""

    def __call__(self, event: SequenceEvent) -> None:
        """The next event."""

    def refused(self) -> None:
        """The request was not taken; there will be no event."""


Observer = Callable[[str, GenerationRequest, EventSink], ObservedSink]
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
    def __init__(self, sink: EventSink) -> None:
        self._sink = sink

    def __call__(self, event: SequenceEvent) -> None:
        self._sink(event)

    def refused(self) -> None:
        return


def unobserved(_model: str, _request: GenerationRequest, sink: EventSink) -> ObservedSink:
    """An `Observer` that sees nothing."""
    return _Unobserved(sink)


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is on offer."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    """Other names for it; weaker than any model's id or name."""
    sampling: dict[str, Any] = {}
    """Parameters where a request has none, by their names in `SamplingParams`."""
    system: str = ""
    """The system prompt of chats that have none."""
    make: Callable[[], Engine]
    """An engine for it, not started yet."""
    on_device: Callable[[str], Engine] | None = None
    """An engine for it on a certain device, if that can be chosen."""
    load: Callable[[], Load] | None = None
    """How its engine loads it, if that is a worker's that may use GPUs.

    Raises ModelLoadFailed when its file is not there or cannot be read."""
    excluded: ExcludedDevices = msgspec.field(default_factory=ExcludedDevices)
    """Devices that its engines must not use."""
    need: Callable[[], int] = lambda: 0
    """Bytes of memory that loading takes; 0: unknown or none of this machine's.

    Raises ModelLoadFailed when the file cannot be loaded anyway."""
    file: Callable[[], Path | None] = lambda: None
    """The whole GGUF that llama.cpp runs on this machine; None: it is something else.

    Raises ModelLoadFailed when it is not there."""
    stamp: Callable[[], object] = lambda: None
    """Differs once its file does: what failed to load may load now."""
    is_same: Callable[[object], bool] = bool
    """Whether the files of an earlier `stamp` are still as they were; asked often."""
    elsewhere: bool = False
    """It runs on another server."""
    stands_in: bool = False
    """It answers in place of the default while that is not on this machine."""
    prewarm: bool = False
