"""One thread that writes the bodies of all responses that are still being generated.

A request whose reply grows token by token parks its stream here and gives its pool thread back.
One step of the engine wakes many streams; the writer sends what all of them have in one pass, where
a thread per stream would cost a thread switch per stream.

The writer knows no sockets: it reaches each client through a `ClientWriter`.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

PACE_SECONDS = 0.05
"""Until a stream that waits for its client is looked at again."""


class ResponseStream(Protocol):
    """A body that is being generated. Once it is attached, only the writer's thread calls it.

    One with an attribute `paced` that is true is there already, such as a file: it is read a piece
    at a time, and waits for its client instead of being cut.
    """

    @property
    def keep_alive(self) -> bytes | None:
        """What is sent after a long silence, such as an SSE comment; None: nothing. Read again
        after each silence."""

    def attach(self, wake: Callable[[], None]) -> None:
        """Called once, on the request's thread.

        `wake` signals that there is something to read, or that the stream has finished. It may be
        called from any thread, at any time, even after the end, and never blocks.
        """

    def read(self) -> bytes:
        """What is ready to be sent; empty when there is nothing."""

    @property
    def finished(self) -> bool:
        """Nothing follows what `read` has returned."""

    def stop_soon(self) -> None:
        """The server is stopping: finish soon. Whatever is read within the next second is sent."""

    def close(self) -> None:
        """Called exactly once: after the end, when the client has gone, or instead of `attach`."""


class UpgradedStream(ResponseStream, Protocol):
    """Owns a connection that is no longer HTTP. The methods below are for the loop thread."""

    @property
    def held(self) -> int:
        """Bytes that have arrived and were not handled yet."""

    @property
    def wants_input(self) -> bool:
        """Whether to read more; otherwise what the client sends has to wait."""

    def receive(self, data: bytes, spawn: Callable[[Callable[[], None]], None]) -> None:
        """Bytes from the client. `spawn` runs a function on a pool thread; must not block."""

    def drain(self) -> None:
        """The server accepts nothing new: finish what runs, then end. May be called repeatedly."""


class ClientWriter(Protocol):
    """The connection to one client, as the writer needs it. Nothing here blocks."""

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
        """Cut the connection, if it is still open, in the middle of the body."""


class _Parked:
    """One stream and the connection to its client."""

    def __init__(self, stream: ResponseStream, client: ClientWriter) -> None:
        self.stream = stream
        self.client = client
        self.paced = bool(getattr(stream, "paced", False))
        """It is there already, and read no faster than its client reads."""
        self.stopping = False
        self.largest = 0
        """Bytes of the largest piece read."""
        self.written_at = time.monotonic()


class StreamWriter:
    """The thread that writes parked streams. `add`, `stop_soon` and `stop` are for any thread."""

    def __init__(self, *, backlog: int, keep_alive_seconds: float) -> None:
        """
        Args:
            backlog: bytes that a client may leave unread before it is dropped.
            keep_alive_seconds: silence after which `ResponseStream.keep_alive` is sent.
        """
        self._backlog = backlog
        self._keep_alive_seconds = keep_alive_seconds
        self._changed = threading.Condition()
        self._parked: set[_Parked] = set()
        self._woken: set[_Parked] = set()
        self._held_back: set[_Parked] = set()
        """Paced ones whose clients have not read what they were sent."""
        self._stopping_soon = False
        self._stopping = False
        self._next_check = 0.0
        self._check_interval = min(1.0, keep_alive_seconds / 4)
        """Seconds between two checks for streams that have been silent for too long."""
        self._thread = threading.Thread(target=self._run, name="stream writer", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def add(self, stream: ResponseStream, client: ClientWriter) -> Callable[[], None]:
        """Take over a stream, up to and including its `close`. Returns what wakes it."""
        parked = _Parked(stream, client)

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
            client.drop()
            self._release(parked)
        wake()
        return wake

    @property
    def streams(self) -> int:
        """How many are being written."""
        return len(self._parked)

    def stop_soon(self) -> None:
        """Have every stream finish soon, including those that are still to come."""
        with self._changed:
            self._stopping_soon = True
            self._woken |= self._parked
            self._changed.notify()

    def stop(self) -> None:
        """Close what is left and end the thread; returns when it is gone."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    # -- the writer's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while (woken := self._wait()) is not None:
            for parked in woken:
                self._guarded(self._step, parked)
            if time.monotonic() >= self._next_check:
                for parked in self._all():
                    self._guarded(self._break_silence, parked)
                self._next_check = time.monotonic() + self._check_interval
        for parked in self._all():
            parked.client.drop()
            self._release(parked)

    def _wait(self) -> set[_Parked] | None:
        """The streams woken since the last pass, perhaps none; None: stop."""
        with self._changed:
            pause = PACE_SECONDS if self._held_back else self._check_interval
            self._changed.wait_for(
                lambda: self._woken or self._stopping, pause if self._parked else None
            )
            woken, self._woken = self._woken | (self._held_back & self._parked), set()
            self._held_back = set()
            return None if self._stopping else woken

    def _all(self) -> list[_Parked]:
        with self._changed:
            return list(self._parked)

    def _guarded(self, do: Callable[[_Parked], None], parked: _Parked) -> None:
        """An error in one stream ends that stream, never the thread that writes all of them."""
        try:
            do(parked)
        except Exception:
            log.exception("a stream failed while it was being written")
            parked.client.drop()
            self._release(parked)

    def _step(self, parked: _Parked) -> None:
        stream, client = parked.stream, parked.client
        behind = client.backlog > self._backlog + parked.largest
        if client.gone or (behind and not parked.paced):
            # One large piece, such as a replay from the start, is not the reader's fault: on top of
            # it a client may lag as far behind as any other.
            client.drop()
            self._release(parked)
            return
        if self._stopping_soon and not parked.stopping:
            parked.stopping = True
            stream.stop_soon()
        if parked.paced and client.backlog > self._backlog:
            with self._changed:
                self._held_back.add(parked)
            return
        self._write(parked, stream.read())
        if parked.paced:
            with self._changed:
                self._woken.add(parked)
        if stream.finished:
            # Read what arrived between the two lines above.
            self._write(parked, stream.read())
            client.end()
            self._release(parked)

    def _write(self, parked: _Parked, data: bytes) -> None:
        if data:
            parked.largest = max(parked.largest, len(data))
            parked.written_at = time.monotonic()
            parked.client.write(data)

    def _break_silence(self, parked: _Parked) -> None:
        silence = time.monotonic() - parked.written_at
        # A client that has not read what it was sent needs nothing more.
        if silence < self._keep_alive_seconds or parked.client.backlog:
            return
        if comment := parked.stream.keep_alive:
            parked.written_at = time.monotonic()
            parked.client.write(comment)

    def _release(self, parked: _Parked) -> None:
        with self._changed:
            self._parked.discard(parked)
            self._woken.discard(parked)
        try:
            parked.stream.close()
        except Exception:
            log.exception("a stream could not be closed")
