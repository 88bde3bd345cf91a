"""Streams that need no thread each: one thread writes all replies that are in the making.

A request whose reply grows token by token parks its stream here and gives its pool thread back.
One step of the engine wakes many streams; the pump writes what all of them have in one pass, where
a thread per stream would cost a thread switch per stream.

The pump knows no sockets: a `Sink` is its way to one client.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class PumpedStream(Protocol):
    """A reply in the making. Once it is attached, the pump's thread alone calls its methods."""

    @property
    def keep_alive(self) -> bytes | None:
        """What is sent into long silence, such as an SSE comment; None: nothing. Asked each time
        that there was one."""

    def attach(self, wake: Callable[[], None]) -> None:
        """Called once, on the request's thread.

        `wake` says that there is something to take, or that the stream has finished. It may be
        called on any thread, at any time, also after the end, and never blocks.
        """

    def take(self) -> bytes:
        """What is ready to be sent; empty when there is nothing."""

    @property
    def finished(self) -> bool:
        """Nothing will follow what `take` has given."""

    def expire(self) -> None:
        """The server is stopping: finish soon. Whatever is taken in the next second is sent."""

    def close(self) -> None:
        """Called exactly once: after the end, when the client has gone, or instead of `attach`."""


class UpgradedStream(PumpedStream, Protocol):
    """Has a connection to itself that has left HTTP. The methods below are for the loop thread."""

    @property
    def wants_input(self) -> bool:
        """Whether to read on; otherwise the client has to wait with what it sends."""

    def receive(self, data: bytes, spawn: Callable[[Callable[[], None]], None]) -> None:
        """Bytes of the client's. `spawn` has something done on a pool thread; must not block."""

    def drain(self) -> None:
        """The server takes nothing new: finish what runs, and then end. May come repeatedly."""


class Sink(Protocol):
    """The way to one client, as the pump needs it. Nothing here blocks."""

    @property
    def gone(self) -> bool:
        """The client has left."""

    @property
    def backlog(self) -> int:
        """Bytes written that the client's connection has not taken yet."""

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""

    def end(self) -> None:
        """The body is complete."""

    def drop(self) -> None:
        """Cut the connection, if it still stands, in the middle of the body."""


class _Parked:
    """One stream and the way to its client."""

    def __init__(self, stream: PumpedStream, sink: Sink) -> None:
        self.stream = stream
        self.sink = sink
        self.expired = False
        self.largest = 0
        """Bytes of the largest piece taken."""
        self.wrote_at = time.monotonic()


class Pump:
    """The thread that writes parked streams. `park`, `expire` and `stop` are for any thread."""

    def __init__(self, *, backlog: int, keep_alive_seconds: float) -> None:
        """
        Args:
            backlog: bytes that a client may leave unread before it is dropped.
            keep_alive_seconds: silence after which `PumpedStream.keep_alive` is sent.
        """
        self._backlog = backlog
        self._keep_alive_seconds = keep_alive_seconds
        self._changed = threading.Condition()
        self._parked: set[_Parked] = set()
        self._woken: set[_Parked] = set()
        self._expiring = False
        self._stopping = False
        self._next_look = 0.0
        self._look_interval = min(1.0, keep_alive_seconds / 4)
        """Seconds between two looks at who has been silent for too long."""
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def park(self, stream: PumpedStream, sink: Sink) -> Callable[[], None]:
        """Take a stream over, up to and including its `close`. Returns what wakes it."""
        parked = _Parked(stream, sink)

        def wake() -> None:
            with self._changed:
                if parked in self._parked:
                    self._woken.add(parked)
                    self._changed.notify()

        stream.attach(wake)
        with self._changed:
            stopping = self._stopping
            if not stopping:
                self._parked.add(parked)
        if stopping:
            sink.drop()
            self._release(parked)
        wake()
        return wake

    @property
    def streams(self) -> int:
        """How many it has."""
        return len(self._parked)

    def expire(self) -> None:
        """Tell every stream, also those still to come, to finish soon."""
        with self._changed:
            self._expiring = True
            self._woken |= self._parked
            self._changed.notify()

    def stop(self) -> None:
        """Close what is left and end the thread; returns when it is gone."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    # -- the pump's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while (woken := self._wait()) is not None:
            for parked in woken:
                self._guarded(self._step, parked)
            if time.monotonic() >= self._next_look:
                for parked in self._everyone():
                    self._guarded(self._break_silence, parked)
                self._next_look = time.monotonic() + self._look_interval
        for parked in self._everyone():
            parked.sink.drop()
            self._release(parked)

    def _wait(self) -> set[_Parked] | None:
        """Who was woken since the last pass, perhaps nobody; None: stop."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._woken or self._stopping, self._look_interval if self._parked else None
            )
            woken, self._woken = self._woken, set()
            return None if self._stopping else woken

    def _everyone(self) -> list[_Parked]:
        with self._changed:
            return list(self._parked)

    def _guarded(self, do: Callable[[_Parked], None], parked: _Parked) -> None:
        """One stream's fault ends that stream, never the thread that writes all of them."""
        try:
            do(parked)
        except Exception:
            log.exception("a stream failed while it was written")
            parked.sink.drop()
            self._release(parked)

    def _step(self, parked: _Parked) -> None:
        stream, sink = parked.stream, parked.sink
        if sink.gone or sink.backlog > self._backlog + parked.largest:
            # One large piece, such as a replay from the start, is no reader's fault: beside it a
            # client has the same leave to lag as any other.
            sink.drop()
            self._release(parked)
            return
        if self._expiring and not parked.expired:
            parked.expired = True
            stream.expire()
        self._write(parked, stream.take())
        if stream.finished:
            # What came between the two lines above is still to be taken.
            self._write(parked, stream.take())
            sink.end()
            self._release(parked)

    def _write(self, parked: _Parked, data: bytes) -> None:
        if data:
            parked.largest = max(parked.largest, len(data))
            parked.wrote_at = time.monotonic()
            parked.sink.write(data)

    def _break_silence(self, parked: _Parked) -> None:
        silence = time.monotonic() - parked.wrote_at
        # A client that has not read yet what it was sent has no need of more.
        if silence < self._keep_alive_seconds or parked.sink.backlog:
            return
        if comment := parked.stream.keep_alive:
            parked.wrote_at = time.monotonic()
            parked.sink.write(comment)

    def _release(self, parked: _Parked) -> None:
        with self._changed:
            self._parked.discard(parked)
            self._woken.discard(parked)
        try:
            parked.stream.close()
        except Exception:
            log.exception("a stream could not be closed")
