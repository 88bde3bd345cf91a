"""The HTTP server: waitress, made to survive slow readers, half-sent requests and long responses.

The thread that calls `HttpServer.serve` becomes the loop thread, which watches the sockets; a pool
of threads runs the app, one request each; the stream writer writes the bodies that requests have
parked. A file for each: `event_loop.py` what all share, `listener.py` an address, `channel.py` a
connection, `request.py` a request on it, `stream_writer.py` the streams.

The app finds these in its WSGI environment:

`appliance.park(stream)`
    makes a `stream_writer.ResponseStream` the body, which is written once the app has returned.
`appliance.on_disconnect(callback)`
    calls a function once if the client goes away before its response is complete.
`appliance.upgrade(stream, headers)`
    only if the client asks for a WebSocket: gives the connection to a
    `stream_writer.UpgradedStream` once the app has returned with status 101.
`appliance.local`
    is the address and port of this end of the connection.
`appliance.set_owner(owner)`
    sets the owner of the response, for `HttpServer.cut`, and says that a good key was shown.
`appliance.heavy()`
    says that the response may be large, and waits until few such are being made.
"""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from appliance.http.channel import Channel
from appliance.http.event_loop import Admit, EventLoop, ServerLimits, guarded
from appliance.http.fairness import too_much
from appliance.http.listener import Listener, address_error, resolve
from appliance.http.uploads import UploadLimits, Uploads
from appliance.system.memory import trim

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["HttpServer", "ServerLimits"]

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""Between two checks for clients that keep the server waiting."""
DRAIN_CHECK_SECONDS = 0.1
TRIM_SECONDS = 10.0
"""Between two times that freed memory is given back."""
CALM_BYTES = 1024 * 1024
"""What connections hold when they hold little."""
LAST_WORDS_SECONDS = 2.0
"""How long streams have, after the grace period, to send their end."""
THREADS_END_SECONDS = 1.0
"""How long requests have to end after their connections were cut."""


class HttpServer:
    """Serves a WSGI app until it is stopped."""

    def __init__(
        self,
        app: "WSGIApplication",
        listen: Sequence[tuple[str, int]],
        limits: ServerLimits | None = None,
        admit: Admit | None = None,
        uploads: UploadLimits | None = None,
    ) -> None:
        """Listens at once; clients wait until `serve`.

        Args:
            app: answers requests.
            listen: hosts and ports. A name means all its addresses, port 0 any free port.
            limits: the resources that one client may use.
            admit: returns what is wrong with a request, before its body is read.
            uploads: which requests may have large bodies; None: none.

        Raises:
            ConfigError: cannot listen on an address; `param` is `server.port` or `server.host`.
        """
        self._limits = limits or ServerLimits()
        self._loop = EventLoop(self._limits, admit)
        self._loop.held_grew = self._cut_who_holds_most
        self._pool = ThreadedTaskDispatcher()
        self._channels: dict[int, Channel] = {}
        self._listeners: list[Listener] = []
        self._drain_since: float | None = None
        self._stopping_soon = False
        self._stopping = False
        self._serving = False
        self._next_check = self._next_trim = 0.0
        adjustments = _adjustments(self._limits)
        self._loop.uploads = Uploads(uploads, adjustments) if uploads else None
        try:
            for host, port in listen:
                for address in resolve(host, port):
                    self._listeners.append(
                        Listener(app, address, adjustments, self._pool, self._loop, self._channels)
                    )
        except OSError as error:
            self._end()
            raise address_error(error, host, port) from error

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: numeric hosts, and ports."""
        return [(str(it.effective_host), int(it.effective_port)) for it in self._listeners]

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._channels)

    @property
    def streams(self) -> int:
        """How many streams are being written."""
        return self._loop.stream_writer.streams

    def serve(self, before_end: Callable[[], None] = lambda: None) -> None:
        """Serve, on this thread and those it starts, until drained or `stop_now` is called.

        `before_end` is called while the addresses are still this server's, and no other's.
        """
        self._serving = True
        try:
            self._loop.stream_writer.start()
            self._pool.set_thread_count(self._limits.threads)
            while not (self._stopping or self._drained()):
                self._loop.run_once(DRAIN_CHECK_SECONDS if self._loop.draining else CHECK_SECONDS)
                self._cut_overdue()
        finally:
            guarded(before_end)
            self._end()

    def drain(self) -> None:
        """Shut down gracefully; `serve` returns when that is done. A second call changes nothing.

        New requests are refused with a 503, also on new connections. Those that are running have
        `shutdown_grace_seconds` to finish; streams are then asked to stop soon and have
        `LAST_WORDS_SECONDS` to say so. What is still open after that is cut.

        For any thread, and for signal handlers.
        """
        if self._drain_since is None:
            self._drain_since = time.monotonic()
            self._loop.wake()

    def cut(self, owner: str) -> None:
        """Cut every connection whose unfinished response belongs to `owner`. For any thread.

        Later requests of theirs must already be refused.
        """

        def cut_all() -> None:
            for channel in list(self._channels.values()):
                if channel.owner == owner:
                    channel.handle_close()

        self._loop.call_soon(cut_all)

    def stop_now(self) -> None:
        """Cut every connection and have `serve` return, within about a second.

        For any thread, and for signal handlers.
        """
        self._stopping = True
        if self._serving:
            self._loop.wake()
        else:
            self._end()

    # -- the loop thread ---------------------------------------------------------------------------

    def _cut_overdue(self) -> None:
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_SECONDS
        self._trim_after_flood(now)
        for channel in list(self._channels.values()):
            if channel.overdue(now):
                log.info("cut a connection from %s that kept the server waiting", channel.addr[0])
                channel.handle_close()

    def _trim_after_flood(self, now: float) -> None:
        """Once connections hold little again, have what they held go back to the system."""
        if not self._loop.held_much or now < self._next_trim:
            return
        if sum(channel.held for channel in self._channels.values()) < CALM_BYTES:
            self._loop.held_much = False
            self._next_trim = now + TRIM_SECONDS
            # Not on this thread: it takes milliseconds.
            threading.Thread(target=trim, name="trim", daemon=True).start()

    def _cut_who_holds_most(self) -> None:
        for channel in too_much(self._channels.values(), self._limits.held):
            log.warning(
                "cut a connection from %s: all of them held too much, and it the most, %d bytes",
                channel.addr[0],
                channel.held,
            )
            channel.handle_close()

    def _drained(self) -> bool:
        """Advance the drain, if there is one. True once it is over."""
        if self._drain_since is None:
            return False
        if not self._loop.draining:
            # Idle connections close after the loop has run once more and read what they hold.
            self._loop.draining = True
            return False
        now = time.monotonic()
        for channel in list(self._channels.values()):
            if channel.idle and not channel.may_still_send(now):
                channel.finish_soon()
            else:
                channel.drain()
        waited = now - self._drain_since
        if waited >= self._limits.shutdown_grace_seconds and not self._stopping_soon:
            self._stopping_soon = True
            self._loop.stream_writer.stop_soon()
        held = not all(channel.newcomer for channel in list(self._channels.values()))
        busy = held or self._pool.queue or self._pool.active_count
        return not busy or waited >= self._limits.shutdown_grace_seconds + LAST_WORDS_SECONDS

    def _end(self) -> None:
        for listener in self._listeners:
            listener.close()
        for channel in list(self._channels.values()):
            channel.handle_close()
        self._loop.stream_writer.stop()
        self._pool.set_thread_count(0)
        with self._pool.lock:
            self._pool.thread_exit_cv.wait_for(
                lambda: not self._pool.threads, timeout=THREADS_END_SECONDS
            )
            if self._pool.threads:
                log.warning("%d requests did not end; they are abandoned", len(self._pool.threads))
        while self._pool.queue:
            # Never begun; with its connection closed, a request is only discarded.
            self._pool.queue.popleft().service()
        self._loop.close()


def _adjustments(limits: ServerLimits) -> Adjustments:
    adjustments = Adjustments(
        ident="appliance",
        # Without it, nothing is read while a request runs, and a client that goes is not noticed.
        channel_request_lookahead=1,
        # The guard knows which proxies to trust.
        clear_untrusted_proxy_headers=False,
        outbuf_high_watermark=limits.backlog,
        # Never a temporary file, except for uploads: what people write and read stays off the disk.
        inbuf_overflow=limits.held,
        outbuf_overflow=limits.held,
        recv_bytes=64 * 1024,
        # waitress refuses what is exactly as large as its limit.
        max_request_body_size=limits.body + 1,
        max_request_header_size=limits.headers + 1,
    )
    if sys.platform == "linux":
        # A client that vanished silently: the kernel finds out by what is not acknowledged.
        timeout = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.send_timeout * 1000))
        adjustments.socket_options = [*adjustments.socket_options, timeout]
    return adjustments
