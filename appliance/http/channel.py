"""One client's connection: waitress's channel, made fit for replies that take minutes.

Three kinds of thread meet here. The *loop* thread reads, notices that a client has gone, and cuts
connections. A *pool* thread runs one request at a time. The *pump* writes a stream that a request
has parked, and then no pool thread is in the channel.
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
from appliance.http.event_loop import Loop, guarded
from appliance.http.request import Draining, Parked, Refusal, Request, Run
from appliance.http.stream_writer import UpgradedStream

log = logging.getLogger(__name__)

NEWCOMER_SECONDS = 1.0
"""How long somebody who comes while the server stops has to ask, and be refused."""
LINGER_SECONDS = 2.0
"""How long a client may go on sending what has been refused already."""


class Channel(HTTPChannel):
    """One connection."""

    task_class = Run
    error_task_class = Refusal
    logger = log
    requests: list[Request]
    requests_lock: threading.Lock

    def __init__(
        self, listener: BaseWSGIServer, sock: socket, address: Any, loop: Loop, origin: str | None
    ) -> None:
        """`origin` is whose connection this counts as; None: this machine's own."""
        self.loop = loop
        self.origin = origin
        self.local: tuple[str, int] = sock.getsockname()[:2]
        """Address and port of this end."""
        self.owner: str | None = None
        """Whose the response under way is, as the app says."""
        self.newcomer = loop.draining
        """It came when the server was stopping already, and is only told so."""
        self.parked = False
        self.refused = False
        """The client may not know yet that the last word was said, and go on sending."""
        self._upgraded: UpgradedStream | None = None
        """Has the connection to itself: it is not HTTP any more."""
        self._lingering = False
        self._receiving = False
        """A request has begun to arrive since the last one was served."""
        self._moved = False
        """The client has taken something since the last look."""
        self._waiting_since = time.monotonic()
        """When it became the client's turn to do something."""
        self._gone = False
        self._callbacks: list[Callable[[], None]] = []
        self._callbacks_lock = threading.Lock()
        super().__init__(listener, sock, address, listener.adj, map=loop.map)

    def parser_class(  # type: ignore[override]  # the stub says a class
        self, adj: Adjustments
    ) -> Request:
        """A request that begins to arrive, as waitress asks for it."""
        return Request(adj, self._admit)

    def _admit(self, headers: Mapping[str, str]) -> ApplianceError | None:
        return self.loop.admit(headers, self.local) if self.loop.admit else None

    # -- the loop thread ---------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing is asked, nothing half asked, and nothing being answered."""
        return not (self.requests or self.request or self._lingering)

    def overdue(self, now: float) -> bool:
        """Whether the client has kept us waiting for too long. Asked about once a second."""
        limits = self.loop.limits
        if self._moved or (self.requests and not self.total_outbufs_len):
            self._moved = self._receiving = False
            self._waiting_since = now
            return False
        if self.total_outbufs_len:
            allowed = limits.send_timeout
        elif self._lingering:
            allowed = LINGER_SECONDS
        elif self.request is None:
            allowed = limits.idle_timeout
        elif self.request.headers_finished:
            allowed = limits.request_timeout
        else:
            allowed = limits.header_timeout
        return now - self._waiting_since > allowed

    def may_still_ask(self, now: float) -> bool:
        """Whether it is a newcomer that has had no time yet to say what it came for."""
        return self.newcomer and now - self._waiting_since < NEWCOMER_SECONDS

    def finish_soon(self) -> None:
        """Close an idle connection, once it has sent what it still has."""
        if self.total_outbufs_len:
            self.close_when_flushed = True
        else:
            self.handle_close()

    def drain(self) -> None:
        """The server stops: a connection that is not HTTP any more ends when it can."""
        if self._upgraded is not None:
            self._upgraded.drain()

    def readable(self) -> bool:
        """Whether there is anything to read for."""
        if self._lingering:
            return True
        if self._upgraded is not None:
            return self._upgraded.wants_input and not (self.will_close or self.close_when_flushed)
        # Until it is decided, nobody knows whose the next bytes are.
        if self.requests and self.requests[-1].upgrade:
            return False
        return bool(super().readable())

    def recv(self, buffer_size: int) -> bytes:
        """Empty when the client has gone, in whatever way."""
        try:
            return super().recv(buffer_size)
        except OSError:
            self.handle_close()
            return b""

    def handle_read(self) -> None:
        """Take what the client sends."""
        if self._lingering:
            self.recv(self.adj.recv_bytes)
        else:
            super().handle_read()

    def received(self, data: bytes) -> bool:
        """Parse what the client has sent, or give it to whose connection it is."""
        if self._upgraded is not None:
            self._upgraded.receive(data, self._spawn)
            return True
        taken = super().received(data)
        if self.request is not None and not self._receiving:
            self._receiving = True
            self._waiting_since = time.monotonic()
        return taken

    def handle_expt(self) -> None:
        """Urgent data has no meaning in HTTP, and left alone it would be announced for ever."""
        self.handle_close()

    def handle_write(self) -> None:
        """Send what waits; close when that was to be the end."""
        if self.refused and self.close_when_flushed and not self.total_outbufs_len:
            self._linger()
        else:
            super().handle_write()

    def _linger(self) -> None:
        """Close our half only: to close with input unread would tear the answer away from a client
        that still sends its over-large body.
        """
        self.close_when_flushed = False
        self._lingering = True
        self._waiting_since = time.monotonic()
        assert self.socket is not None
        try:
            self.socket.shutdown(SHUT_WR)
        except OSError:
            self.handle_close()

    def handle_close(self) -> None:
        """The client has gone, or is to be rid of."""
        super().handle_close()
        with self._callbacks_lock:
            self._gone = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            guarded(callback)
        if self.request is not None:
            self.request.close()

    def send(self, data: bytes, do_close: bool = True) -> int:
        """What the client takes of `data` (any thread, under waitress's lock)."""
        sent = super().send(data, do_close)
        if sent:
            self._moved = True
        return sent

    # -- pool threads and the pump -----------------------------------------------------------------

    def service(self) -> None:
        """Run the oldest request (pool thread)."""
        if self.loop.draining and self.requests[0].error is None:
            self.requests[0].error = Draining("")
        with suppress(Parked):
            super().service()

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """`environ["appliance.on_disconnect"]`: have something called when the client goes away.

        Once, on the loop thread, also in the midst of silence; not any more when the response is
        complete. Of a client that has sent a second request already, only the next write tells.
        """
        with self._callbacks_lock:
            if not self._gone:
                self._callbacks.append(callback)
                return
        self.loop.call_soon(callback)

    def belongs_to(self, owner: str) -> None:
        """`environ["appliance.belongs_to"]`: whose the response is, until it is complete."""
        self.owner = owner

    def forget_callbacks(self) -> None:
        """The response is complete."""
        with self._callbacks_lock:
            self._callbacks.clear()
        self.owner = None

    def switch(self, stream: UpgradedStream, early: bytes) -> None:
        """The connection is `stream`'s from now on; `early` is what came for it already."""

        def begin() -> None:
            self._upgraded = stream
            if early:
                stream.receive(early, self._spawn)

        self.loop.call_soon(begin)

    def _spawn(self, call: Callable[[], None]) -> None:
        """Have something done on a pool thread, while the connection stands."""
        errand: Any = Errand(self, call)  # the stub wants waitress's own class
        self.server.add_task(errand)

    def release(self) -> None:
        """A parked stream has ended: close the connection when all is sent (pump)."""
        self.forget_callbacks()
        with self.requests_lock:
            self.close_when_flushed = True
            for request in self.requests:
                request.close()
            self.requests = []
        self.server.pull_trigger()

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Waitress has writers wait here for slow readers; the pump drops those and never waits."""
        if not self.parked:
            super()._flush_outbufs_below_high_watermark()  # type: ignore[misc]


class Errand:
    """What a connection has to do that is no request: waitress's idea of a task."""

    def __init__(self, channel: Channel, call: Callable[[], None]) -> None:
        """`call` is done once."""
        self._channel = channel
        self._call = call

    def service(self) -> None:
        """Do it (pool thread), and have the loop look whether there is more to read."""
        if self._channel.connected:
            guarded(self._call)
            self._channel.loop.wake()

    def cancel(self) -> None:
        """It is not done."""
