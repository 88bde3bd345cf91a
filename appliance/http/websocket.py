"""WebSockets: messages become frames, and the server keeps the connection.

The `websockets` library does the protocol, without any I/O of its own: bytes come from the loop
thread, the stream writer sends what is ready, and messages are handled on a pool thread, one at a
time and in order. No connection has a thread to itself.
"""

import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from websockets.datastructures import Headers
from websockets.exceptions import NegotiationError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

log = logging.getLogger(__name__)

# The library would log every frame, and with it what people wrote.
_protocol_log = logging.getLogger(f"{__name__}.protocol")
_protocol_log.setLevel(logging.WARNING)

MAX_MESSAGE = 8 * 1024 * 1024
"""Bytes of one message, and of all that wait to be handled."""


class WebSocketHandler(Protocol):
    """The application's side of one WebSocket. Its methods are called one at a time, except
    `received`."""

    ending: tuple[int, str] | None
    """Close code and reason, once nothing follows what `take` has returned; set by `take`."""

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake` signals, from any thread, that there is something to take."""

    def received(self, text: str) -> None:
        """A message from the client, on a pool thread."""

    def take(self) -> list[bytes]:
        """Messages to send now, in UTF-8. Only on the stream writer's thread."""

    def drain(self) -> None:
        """The server accepts nothing new: end as soon as nothing is running."""

    def stop_soon(self) -> None:
        """The server is stopping: end now."""

    def close(self) -> None:
        """The connection is closed or about to be."""


class WebSocket:
    """One open WebSocket: an `UpgradedStream` for the server, a `WebSocketHandler` behind it."""

    def __init__(self, handler: WebSocketHandler) -> None:
        """The handshake is done."""
        self._handler = handler
        self._protocol = ServerProtocol(
            state=State.OPEN, max_size=MAX_MESSAGE, logger=_protocol_log
        )
        self._lock = threading.Lock()
        """Held for the protocol and the inbox."""
        self._pieces: list[bytes] = []
        self._inbox: deque[str] = deque()
        self._inbox_size = 0
        self._pieces_size = 0
        self._reading = False
        self._unanswered = False
        """A ping was sent, and nothing has arrived since."""
        self._wake: Callable[[], None] = lambda: None
        self._context = contextvars.copy_context()
        """The request's, so that log lines keep carrying its id."""
        self.finished = False

    # -- the loop thread ---------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Bytes that have arrived and were not handled yet."""
        # The library keeps a frame until all of it has arrived.
        return len(self._protocol.reader.buffer) + self._pieces_size + self._inbox_size

    @property
    def wants_input(self) -> bool:
        """Not while a message's worth of bytes waits to be handled."""
        return self._inbox_size <= MAX_MESSAGE

    def receive(self, data: bytes, spawn: Callable[[Callable[[], None]], None]) -> None:
        """Bytes from the client."""
        with self._lock:
            self._unanswered = False
            self._protocol.receive_data(data)
            for frame in self._protocol.events_received():
                assert isinstance(frame, Frame)
                self._collect(frame)
            start = bool(self._inbox) and not self._reading
            self._reading = self._reading or start
        self._wake()
        if start:
            spawn(lambda: self._context.copy().run(self._read))

    def _collect(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "messages are text")
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT) and self._protocol.state is State.OPEN:
            self._pieces.append(bytes(frame.data))
            self._pieces_size += len(frame.data)
            if frame.fin:
                whole, self._pieces, self._pieces_size = b"".join(self._pieces), [], 0
                try:
                    self._inbox.append(whole.decode())
                except UnicodeDecodeError:
                    self._protocol.fail(CloseCode.INVALID_DATA, "the message is not UTF-8")
                else:
                    self._inbox_size += len(whole)

    def drain(self) -> None:
        """The server accepts nothing new."""
        self._handler.drain()
        self._wake()

    # -- a pool thread -----------------------------------------------------------------------------

    def _read(self) -> None:
        while True:
            with self._lock:
                if not self._inbox:
                    self._reading = False
                    return
                text = self._inbox.popleft()
                self._inbox_size -= len(text.encode())
            try:
                self._handler.received(text)
            except Exception:
                log.exception("a message could not be handled")
                with self._lock:
                    self._protocol.fail(CloseCode.INTERNAL_ERROR, "the appliance failed")
                self._wake()

    # -- the stream writer -------------------------------------------------------------------------

    def attach(self, wake: Callable[[], None]) -> None:
        """The stream writer has it."""
        self._wake = wake
        self._handler.attach(wake)

    @property
    def keep_alive(self) -> bytes:
        """A ping; a client that has not answered the last one is disconnected."""
        with self._lock:
            if self._protocol.state is not State.OPEN:
                return b""
            if self._unanswered:
                self._protocol.fail(CloseCode.INTERNAL_ERROR, "no answer to a ping")
                self._wake()
            else:
                self._unanswered = True
                self._protocol.send_ping(b"")
            return self._sent()

    def read(self) -> bytes:
        """Frames that are ready to be sent."""
        with self._lock:
            if self._protocol.state is State.OPEN:
                for text in self._handler.take():
                    self._protocol.send_text(text)
                if self._handler.ending is not None:
                    self._protocol.send_close(*self._handler.ending)
            return self._sent()

    def _sent(self) -> bytes:
        data = b"".join(self._protocol.data_to_send())
        if self._protocol.close_sent is not None:
            self.finished = True
        return data

    def stop_soon(self) -> None:
        """The server is stopping."""
        self._handler.stop_soon()
        self._wake()

    def close(self) -> None:
        """The connection is closed or about to be."""
        with self._lock:
            # The protocol refers to itself: without this, what has arrived would stay in memory
            # until garbage is collected, which is seldom.
            self._protocol.reader.buffer.clear()
            self._pieces.clear()
            self._inbox.clear()
            self._pieces_size = self._inbox_size = 0
        self._handler.close()


class NotAccepted(ValueError):
    """The request is not a handshake that can be accepted; the text says why."""


def handshake(
    uri: str, headers: Mapping[str, str], subprotocols: Collection[str | None]
) -> tuple[str | None, dict[str, str]]:
    """Check an opening handshake.

    Args:
        uri: path and query of the request.
        headers: of the request.
        subprotocols: those that are supported; None among them: a client need not offer any.

    Returns:
        The subprotocol, and the headers that the answer has beside the server's own.

    Raises:
        NotAccepted: it cannot be accepted.
    """

    def choose(_protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        found = next((name for name in offered if name in subprotocols), None)
        if found is None and None not in subprotocols:
            raise NegotiationError("none of the subprotocols is supported")
        return found

    protocol = ServerProtocol(select_subprotocol=choose, logger=_protocol_log)
    answer = protocol.accept(Request(uri, Headers(headers)))
    if answer.status_code != 101:
        raise NotAccepted(str(protocol.handshake_exc))
    # Those that WSGI has no place for; the date is the server's.
    ours = {name: value for name, value in answer.headers.raw_items() if name != "Date"}
    return protocol.subprotocol, ours
