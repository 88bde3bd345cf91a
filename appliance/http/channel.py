"""One client's connection: waitress's channel, for responses that take minutes.

Three kinds of thread use it. The *loop* thread reads, notices that a client has gone, and cuts
connections. A *pool* thread runs one request at a time. The *stream writer* writes a stream that a
request has parked; then no pool thread uses the channel.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import SHUT_WR, socket
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer

from appliance.errors import ApplianceError
from appliance.http.event_loop import EventLoop, guarded
from appliance.http.request import AppTask, Draining, ErrorResponse, HttpRequest, Parked
from appliance.http.stream_writer import UpgradedStream
from appliance.http.uploads import Uploads

log = logging.getLogger(__name__)

NEWCOMER_SECONDS = 1.0
"""How long a client that connects while the server stops has to send a request, and be refused."""
LINGER_SECONDS = 2.0
"""How long a client may keep sending a request that was already refused."""
NOTICEABLE = 64 * 1024
"""Bytes that a connection may hold before it matters how many all of them do."""


class Channel(HTTPChannel):
    """One connection."""

    task_class = AppTask
    error_task_class = ErrorResponse
    logger = log
    requests: list[HttpRequest]
    request: HttpRequest | None
    requests_lock: threading.Lock

    def __init__(
        self,
        listener: BaseWSGIServer,
        sock: socket,
        address: Any,
        loop: EventLoop,
        client_group: str | None,
    ) -> None:
        """`client_group`: see `listener.client_group_of`."""
        self.loop = loop
        self.client_group = client_group
        self.local: tuple[str, int] = sock.getsockname()[:2]
        """Address and port of this end."""
        self.owner: str | None = None
        """The owner of the response that is being sent, as set by the app."""
        self.known = False
        """A request on it had a valid key, according to the app."""
        self.leaving = False
        """It is about to be closed for another connection."""
        self.newcomer = loop.draining
        """It came when the server was already stopping, and only gets an answer that says so."""
        self.parked = False
        self.refused = False
        """The client may not know yet that the last response was sent, and keep sending."""
        self._upgraded: UpgradedStream | None = None
        """What owns the connection once it is no longer HTTP."""
        self._lingering = False
        self._receiving = False
        """A request has begun to arrive since the last one was answered."""
        self._moved = False
        """The client has read something since the last check."""
        self.waiting_since = time.monotonic()
        """Since when the client has been expected to do something."""
        self._unsent = 0
        """The most bytes that waited for the client since nothing did: buffers shrink when they are
        empty."""
        self._gone = False
        self._callbacks: list[Callable[[], None]] = []
        self._callbacks_lock = threading.Lock()
        super().__init__(listener, sock, address, listener.adj, map=loop.map)

    def parser_class(  # type: ignore[override]  # the stub says a class
        self, adj: Adjustments
    ) -> HttpRequest:
        """A new request; waitress calls it when one begins to arrive."""
        return HttpRequest(adj, self._admit, self._uploads)

    def _admit(self, method: str, headers: Mapping[str, str]) -> ApplianceError | None:
        return self.loop.admit(method, headers, self.local) if self.loop.admit else None

    def _uploads(self, request: HttpRequest) -> Uploads | None:
        uploads = self.loop.uploads
        if uploads is None or request.content_length <= self.loop.limits.body:
            return None
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.command,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query,
            "SERVER_PROTOCOL": f"HTTP/{request.version}",
            "REMOTE_ADDR": self.addr[0],
            "appliance.local": self.local,
            **{f"HTTP_{name}": value for name, value in request.headers.items()},
        }
        return uploads if uploads.limits.allow(environ) else None

    # -- the loop thread ---------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """No request has arrived, in full or in part, and none is being answered."""
        return not (self.requests or self.request or self._lingering)

    @property
    def removable(self) -> bool:
        """It may go for another one: nobody has shown a good key on it, and nothing is being
        answered."""
        return not (self.known or self.requests or self.leaving)

    @property
    def held(self) -> int:
        """Bytes that it keeps in memory: of what arrives, and of what was not read yet."""
        if not self.total_outbufs_len:
            self._unsent = 0
        held = self._unsent + sum(it.held for it in tuple(self.requests))
        if self.request is not None:
            held += self.request.held
        return held + (self._upgraded.held if self._upgraded is not None else 0)

    def leave(self) -> None:
        """Close, but not before the loop has handled the events that it knows of: one of them may
        be of this connection's number, which another one could have by then."""
        self.leaving = True
        self.loop.call_soon(self.handle_close)

    def overdue(self, now: float) -> bool:
        """Whether the client has kept the server waiting too long. Called about once a second."""
        limits = self.loop.limits
        if self._moved or (self.requests and not self.total_outbufs_len):
            self._moved = self._receiving = False
            self.waiting_since = now
            return False
        if self.total_outbufs_len:
            allowed = limits.send_timeout
        elif self._lingering:
            allowed = LINGER_SECONDS
        elif self.request is None:
            allowed = limits.idle_timeout
        elif self.request.uploads:
            allowed = self.request.uploads.limits.timeout
        elif self.request.headers_finished:
            allowed = limits.request_timeout
        else:
            allowed = limits.header_timeout
        return now - self.waiting_since > allowed

    def may_still_send(self, now: float) -> bool:
        """Whether it is a newcomer that has not had time to send its request."""
        return self.newcomer and now - self.waiting_since < NEWCOMER_SECONDS

    def finish_soon(self) -> None:
        """Close an idle connection once it has sent what is left."""
        if self.total_outbufs_len:
            self.close_when_flushed = True
        else:
            self.handle_close()

    def drain(self) -> None:
        """The server stops: a connection that is no longer HTTP ends when it can."""
        if self._upgraded is not None:
            self._upgraded.drain()

    def readable(self) -> bool:
        """Whether to read from the socket."""
        if self._lingering:
            return True
        if self._upgraded is not None:
            return self._upgraded.wants_input and not (self.will_close or self.close_when_flushed)
        # Until it is decided, it is unknown what the next bytes belong to.
        if self.requests and self.requests[-1].upgrade:
            return False
        return bool(super().readable())

    def recv(self, buffer_size: int) -> bytes:
        """Empty if the client has gone, however it went."""
        try:
            return super().recv(buffer_size)
        except OSError:
            self.handle_close()
            return b""

    def handle_read(self) -> None:
        """Read what the client sends."""
        if self._lingering:
            self.recv(self.adj.recv_bytes)
        else:
            super().handle_read()

    def received(self, data: bytes) -> bool:
        """Parse what the client has sent, or pass it to what owns the connection."""
        if self._upgraded is not None:
            self._upgraded.receive(data, self._spawn)
            self._look_at_held()
            return True
        taken = super().received(data)
        if self.request is None:
            self.waiting_since = time.monotonic()
        elif not self._receiving:
            self._receiving = True
            self.waiting_since = time.monotonic()
        self._look_at_held()
        return taken

    def _look_at_held(self) -> None:
        if self.held > NOTICEABLE:
            self.loop.look_at_held()

    def handle_expt(self) -> None:
        """Urgent data has no meaning in HTTP, and unread it would be reported for ever."""
        self.handle_close()

    def handle_write(self) -> None:
        """Send what is waiting; close if that was to be the last."""
        if self.refused and self.close_when_flushed and not self.total_outbufs_len:
            self._linger()
        else:
            super().handle_write()

    def _linger(self) -> None:
        """Close our half only: closing with input unread would reset the connection before a client
        that still sends its oversized body has read the response.
        """
        self.close_when_flushed = False
        self._lingering = True
        self.waiting_since = time.monotonic()
        assert self.socket is not None
        try:
            self.socket.shutdown(SHUT_WR)
        except OSError:
            self.handle_close()

    def handle_close(self) -> None:
        """The client has gone or is to be disconnected."""
        super().handle_close()
        with self._callbacks_lock:
            self._gone = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            guarded(callback)
        if self.request is not None:
            self.request.close()

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send what the client accepts of `data`; how much that was (any thread, under waitress's
        lock)."""
        sent = super().send(data, do_close)
        if sent:
            self._moved = True
        return sent

    # -- pool threads and the stream writer --------------------------------------------------------

    def write_soon(self, data: bytes) -> int:
        """Send data, now or later (pool thread or stream writer)."""
        if self.total_outbufs_len + len(data) > self._unsent:
            self._unsent = self.total_outbufs_len + len(data)
        written = super().write_soon(data)
        if self._unsent > NOTICEABLE and self.total_outbufs_len:
            self.loop.look_at_held()
        return written

    def service(self) -> None:
        """Run the oldest request (pool thread)."""
        if self.loop.draining and self.requests[0].error is None:
            self.requests[0].error = Draining("")
        with suppress(Parked):
            super().service()

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """`environ["appliance.on_disconnect"]`: call a function when the client goes away.

        It is called once, on the loop thread, even in the middle of silence, but not after the
        response is complete. If the client has already sent a second request, only the next write
        notices.
        """
        with self._callbacks_lock:
            if not self._gone:
                self._callbacks.append(callback)
                return
        self.loop.call_soon(callback)

    def set_owner(self, owner: str) -> None:
        """`environ["appliance.set_owner"]`: who owns the response, until it is complete.

        Whoever has a name here has shown a good key; empty: such a one, of whom nothing is cut.
        """
        self.known = True
        self.owner = owner or None

    def forget_callbacks(self) -> None:
        """The response is complete."""
        with self._callbacks_lock:
            self._callbacks.clear()
        self.owner = None

    def switch(self, stream: UpgradedStream, early: bytes) -> None:
        """Give the connection to `stream`; `early` is what has already arrived for it."""

        def begin() -> None:
            self._upgraded = stream
            if early:
                stream.receive(early, self._spawn)

        self.loop.call_soon(begin)

    def _spawn(self, call: Callable[[], None]) -> None:
        """Run a function on a pool thread if the connection is still open by then."""
        job: Any = ChannelJob(self, call)  # the stub wants waitress's own class
        self.server.add_task(job)

    def release(self) -> None:
        """A parked stream has ended: close the connection once all is sent (stream writer)."""
        self.forget_callbacks()
        with self.requests_lock:
            self.close_when_flushed = True
            for request in self.requests:
                request.close()
            self.requests = []
        self.server.pull_trigger()

    def _flush_outbufs_below_high_watermark(self) -> None:
        """waitress makes writers wait here for slow readers; the stream writer drops those."""
        if not self.parked:
            super()._flush_outbufs_below_high_watermark()  # type: ignore[misc]


class ChannelJob:
    """A task of a connection that is not a request, as waitress's pool runs it."""

    def __init__(self, channel: Channel, call: Callable[[], None]) -> None:
        """`call` is called once, or not at all."""
        self._channel = channel
        self._call = call

    def service(self) -> None:
        """Call it (pool thread), and have the loop check whether there is more to read."""
        if self._channel.connected:
            guarded(self._call)
            self._channel.loop.wake()

    def cancel(self) -> None:
        """It is not called."""
