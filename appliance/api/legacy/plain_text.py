"""Replies as the original service told them: pieces of plain text, and `__ERROR__:message`.

The same over server-sent events and over a WebSocket; out of a session's live reply, or out of a
request that is nobody's session.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from appliance.api.wire.streams import Stream, plain
from appliance.chat.events import ReplyEnded
from appliance.chat.live_reply import Follower
from appliance.chat.reply_text import TextAdded
from appliance.engine.protocol import Delta, Failed, Finished, SequenceEvent
from appliance.errors import ApplianceError, ShuttingDown, from_code


def error_text(message: str) -> str:
    """An error, in the midst of plain text."""
    return f"__ERROR__:{message}"


class PlainReply(Protocol):
    """A reply as pieces of text."""

    wake: Callable[[], None]
    """Called from any thread when there is news; must not block."""
    ended: bool
    """Nothing follows what `take` has given."""

    @property
    def dropped_messages(self) -> int:
        """How many of the chat's messages the model is not shown, after its first word."""

    def wait_answered(self, timeout: float) -> None:
        """Wait for the engine's first word. Raises ApplianceError: it was a refusal."""

    def take(self) -> list[str]:
        """What is new, a piece for each step of the model."""

    def close(self) -> None:
        """Nobody listens any more."""


class SessionReply:
    """The reply of a session. It goes on when nobody listens."""

    def __init__(self, follower: Follower) -> None:
        """`follower` hears the reply from its beginning."""
        self._follower = follower
        self.wake: Callable[[], None] = lambda: None
        follower.wake = self._news
        self.ended = False

    def _news(self) -> None:
        self.wake()  # whichever it is by then

    @property
    def dropped_messages(self) -> int:
        """Those that the window or the context leaves out."""
        return self._follower.dropped_messages

    def wait_answered(self, timeout: float) -> None:
        """Wait for the engine's first word."""
        self._follower.wait_answered(timeout)

    def take(self) -> list[str]:
        """What is new."""
        pieces = []
        for news in self._follower.take():
            if isinstance(news, TextAdded) and news.text:
                pieces.append(news.text)
            elif isinstance(news, ReplyEnded):
                self.ended = True
                if news.error:
                    pieces.append(error_text(news.error.message))
        return pieces

    def close(self) -> None:
        """Nobody listens any more."""
        self._follower.close()


class LooseReply:
    """The reply to a request without a session. It ends when nobody listens."""

    dropped_messages = 0

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.ended = False
        self._news: deque[SequenceEvent] = deque()
        self._answered = threading.Event()
        self._first: SequenceEvent | None = None
        self._cancel: Callable[[], None] = lambda: None

    def sink(self, event: SequenceEvent) -> None:
        """The sink of the request's sequence."""
        self._news.append(event)
        self._first = self._first or event
        self._answered.set()
        self.wake()

    def submitted(self, cancel: Callable[[], None]) -> None:
        """The engine has the request; `cancel` ends it."""
        self._cancel = cancel

    def wait_answered(self, timeout: float) -> None:
        """Wait for the engine's first word."""
        self._answered.wait(timeout)
        if isinstance(self._first, Failed):
            raise from_code(self._first.code, self._first.message, self._first.param)

    def take(self) -> list[str]:
        """What is new."""
        pieces = []
        while self._news:
            event = self._news.popleft()
            if isinstance(event, Delta):
                pieces.append(event.text)
            elif isinstance(event, Failed):
                pieces.append(error_text(event.message))
            self.ended = self.ended or isinstance(event, Finished | Failed)
        return [piece for piece in pieces if piece]

    def close(self) -> None:
        """Nobody listens any more."""
        self._cancel()


class PlainStream(Stream):
    """A plain reply as server-sent events."""

    def __init__(self, reply: PlainReply) -> None:
        super().__init__()
        self._reply = reply
        self._expired = False
        reply.wake = self._news

    def _news(self) -> None:
        self._wake()  # whichever it is by then: the pump attaches later

    def take(self) -> bytes:
        pieces = self._reply.take()
        if self._expired and not self._reply.ended:
            pieces.append(error_text("the appliance is shutting down"))
        self.finished = self._expired or self._reply.ended
        return b"".join(plain(piece) for piece in pieces)

    def expire(self) -> None:
        self._expired = True
        self._wake()

    def close(self) -> None:
        self._reply.close()


class PlainTalk:
    """A WebSocket without a subprotocol: one JSON request, then the reply, a frame for a piece."""

    def __init__(self, ask: Callable[[str], PlainReply]) -> None:
        """`ask` begins what a request wants, or raises ApplianceError."""
        self._ask = ask
        self._wake: Callable[[], None] = lambda: None
        self._reply: PlainReply | None = None
        self._refused: list[str] = []
        self._asked = self._draining = self._expired = self._closed = False
        self._lock = threading.Lock()
        self.ending: tuple[int, str] | None = None

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake` says that there is something to take."""
        self._wake = wake

    def received(self, text: str) -> None:
        """The request; there is one for each connection (pool thread)."""
        if self._asked:
            return
        self._asked = True
        try:
            if self._draining:
                raise ShuttingDown("the appliance is shutting down")
            reply = self._ask(text)
        except ApplianceError as ex:
            self._refused = [error_text(ex.message)]
        else:
            reply.wake = self._wake
            with self._lock:
                self._reply = reply
                closed = self._closed
            if closed:
                reply.close()
        self._wake()

    def take(self) -> list[bytes]:
        """What is to be sent (pump)."""
        reply = self._reply
        pieces, self._refused = self._refused, []
        done = bool(pieces)
        if reply is not None:
            pieces = reply.take()
            done = reply.ended
        if done:
            self.ending = (1000, "")
        elif self._expired:
            pieces.append(error_text("the appliance is shutting down"))
            self.ending = (1012, "the appliance is shutting down")
        elif self._draining and not self._asked:
            self.ending = (1001, "the appliance is shutting down")
        return [piece.encode() for piece in pieces]

    def drain(self) -> None:
        """No request any more."""
        self._draining = True

    def expire(self) -> None:
        """The end, now."""
        self._expired = True

    def close(self) -> None:
        """The connection is gone or will be."""
        with self._lock:
            self._closed = True
            reply = self._reply
        if reply is not None:
            reply.close()
