"""The HTTP server: waitress, made to outlast slow readers, half-sent requests and long replies.

Whoever calls `Server.serve` becomes the loop thread, which watches the sockets; a pool of threads
runs the app, one request each; the pump writes the streams that requests have parked. A file for
each: `event_loop.py` what all share, `listener.py` an address, `channel.py` a connection,
`request.py` a request on it, `stream_writer.py` the streams.

The app finds these functions in its WSGI environment:

`appliance.park(stream)`
    has the body written by the pump, out of a `stream_writer.PumpedStream`, once the app has
    returned.
`appliance.on_disconnect(callback)`
    has something called once if the client goes away before its response is complete.
`appliance.upgrade(stream, headers)`
    there only if the client asks for a WebSocket: gives the connection to a
    `stream_writer.UpgradedStream` once the app has returned with status 101.
`appliance.local`
    is the address and port of this end of the connection.
`appliance.belongs_to(owner)`
    says whose the response is, for `Server.cut`.
"""

import logging
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from appliance.http.channel import Channel
from appliance.http.event_loop import Admit, Loop, ServerLimits
from appliance.http.listener import Listener, explain, resolve

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Server", "ServerLimits"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""From one look at the clients that keep us waiting to the next."""
DRAIN_LOOK_SECONDS = 0.1
LAST_WORDS_SECONDS = 2.0
"""What streams have, after the grace, to send how they end."""
THREADS_END_SECONDS = 1.0
"""What requests have to end in once their connections were cut."""


class Server:
    """Serves a WSGI app until it is told to stop."""

    def __init__(
        self,
        app: "WSGIApplication",
        listen: Sequence[tuple[str, int]],
        limits: ServerLimits | None = None,
        admit: Admit | None = None,
    ) -> None:
        """Listens at once; clients wait until `serve`.

        Args:
            app: what answers requests.
            listen: hosts and ports. A name stands for all its addresses, port 0 for any free one.
            limits: what a client may cost.
            admit: says what is wrong with a request, before its body is read.

        Raises:
            ConfigError: an address cannot be had; `param` is `server.port` or `server.host`.
        """
        self._limits = limits or ServerLimits()
        self._loop = Loop(self._limits, admit)
        self._pool = ThreadedTaskDispatcher()
        self._channels: dict[int, Channel] = {}
        self._listeners: list[Listener] = []
        self._drain_since: float | None = None
        self._expired = False
        self._stopping = False
        self._serving = False
        self._next_look = 0.0
        adjustments = _adjustments(self._limits)
        try:
            for host, port in listen:
                for place in resolve(host, port):
                    self._listeners.append(
                        Listener(app, place, adjustments, self._pool, self._loop, self._channels)
                    )
        except OSError as error:
            self._end()
            raise explain(error, host, port) from error

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, as numeric hosts and the ports that were given."""
        return [(str(it.effective_host), int(it.effective_port)) for it in self._listeners]

    @property
    def connections(self) -> int:
        """That are open."""
        return len(self._channels)

    @property
    def streams(self) -> int:
        """That are being written."""
        return self._loop.pump.streams

    def serve(self) -> None:
        """Serve, on this thread and those it starts, until `drain` is done or `stop_now` called."""
        self._serving = True
        try:
            self._loop.pump.start()
            self._pool.set_thread_count(self._limits.threads)
            while not (self._stopping or self._drained()):
                self._loop.turn(DRAIN_LOOK_SECONDS if self._loop.draining else LOOK_SECONDS)
                self._cut_overdue()
        finally:
            self._end()

    def drain(self) -> None:
        """Stop in good order; `serve` returns when that is done. A second call changes nothing.

        Requests that come are refused with a 503, also on new connections. Those under way have
        `shutdown_grace_seconds` to finish; streams are then told to expire and have
        `LAST_WORDS_SECONDS` to say so. What is still open after that is cut.

        For any thread, and for signal handlers.
        """
        if self._drain_since is None:
            self._drain_since = time.monotonic()
            self._loop.wake()

    def cut(self, owner: str) -> None:
        """Cut every connection with a response under way that belongs to `owner`. For any thread.

        Whoever asks later must have been refused already.
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
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for channel in list(self._channels.values()):
            if channel.overdue(now):
                log.info("a connection from %s has kept us waiting: cut", channel.addr[0])
                channel.handle_close()

    def _drained(self) -> bool:
        """Bring the drain forward, if there is one. True when it is over."""
        if self._drain_since is None:
            return False
        if not self._loop.draining:
            # Idle connections close after one more turn, in which what they hold is read.
            self._loop.draining = True
            return False
        now = time.monotonic()
        for channel in list(self._channels.values()):
            if channel.idle and not channel.may_still_ask(now):
                channel.finish_soon()
            else:
                channel.drain()
        waited = now - self._drain_since
        if waited >= self._limits.shutdown_grace_seconds and not self._expired:
            self._expired = True
            self._loop.pump.expire()
        held = not all(channel.newcomer for channel in list(self._channels.values()))
        busy = held or self._pool.queue or self._pool.active_count
        return not busy or waited >= self._limits.shutdown_grace_seconds + LAST_WORDS_SECONDS

    def _end(self) -> None:
        for listener in self._listeners:
            listener.close()
        for channel in list(self._channels.values()):
            channel.handle_close()
        self._loop.pump.stop()
        self._pool.set_thread_count(0)
        with self._pool.lock:
            self._pool.thread_exit_cv.wait_for(
                lambda: not self._pool.threads, timeout=THREADS_END_SECONDS
            )
            if self._pool.threads:
                log.warning("%d requests do not end; they are left behind", len(self._pool.threads))
        while self._pool.queue:
            # Never begun; with its connection closed, a request is only put away.
            self._pool.queue.popleft().service()
        self._loop.close()


def _adjustments(limits: ServerLimits) -> Adjustments:
    adjustments = Adjustments(
        ident="appliance",
        # Without it, nobody reads while a request runs, and a client that has gone is not noticed.
        channel_request_lookahead=1,
        # The guard knows which proxies to believe.
        clear_untrusted_proxy_headers=False,
        outbuf_high_watermark=limits.backlog,
        recv_bytes=64 * 1024,
        # Waitress refuses what is as large as its limit.
        max_request_body_size=limits.body + 1,
        max_request_header_size=limits.headers + 1,
    )
    if sys.platform == "linux":
        # A client that vanished without a word: the kernel finds out by what is not acknowledged.
        timeout = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.send_timeout * 1000))
        adjustments.socket_options = [*adjustments.socket_options, timeout]
    return adjustments
