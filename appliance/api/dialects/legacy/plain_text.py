"""Replies as the original service wrote them: pieces of plain text, and `__ERROR__:message`.

The same over server-sent events and over a WebSocket. A reply is stopped when its client
disconnects; in a session, what it has by then is kept.
"""

import threading
from collections.abc import Callable

from appliance.api.chat.socket import SocketClient
from appliance.api.generation.stream import ChoiceEvent, SequenceFeed
from appliance.api.wire.streams import FeedStream, text_event
from appliance.chat.events import LiveEvent, ReplyEnded
from appliance.chat.live_reply import Follower
from appliance.chat.reply_text import TextDelta
from appliance.engine.protocol import Delta, Failed, Finished
from appliance.errors import ApplianceError, MessageNotFound, ShuttingDown

PlainReply = Follower | SequenceFeed
"""The reply of a session, or that of a request without one, which has a single choice."""


def error_text(message: str) -> str:
    """An error, among pieces of plain text."""
    return f"__ERROR__:{message}"


def text_of(event: LiveEvent | ChoiceEvent) -> str:
    """What a client is sent for an event; empty: nothing."""
    match event:
        case TextDelta(text=text) | ChoiceEvent(event=Delta(text=text)):
            return text
        case ReplyEnded(error=MessageNotFound()):
            return ""  # the chat was deleted meanwhile
        case ReplyEnded(error=ApplianceError(message=message)):
            return error_text(message)
        case ChoiceEvent(event=Failed(message=message)):
            return error_text(message)
        case _:
            return ""


def is_last(event: LiveEvent | ChoiceEvent) -> bool:
    """Whether nothing follows an event."""
    if isinstance(event, ChoiceEvent):
        return isinstance(event.event, Finished | Failed)
    return isinstance(event, ReplyEnded)


def stop(reply: PlainReply) -> None:
    """Its client has disconnected."""
    if isinstance(reply, Follower):
        reply.stop()
    reply.close()


class PlainTextStream(FeedStream[LiveEvent | ChoiceEvent]):
    """A reply as server-sent events without JSON."""

    def __init__(self, reply: PlainReply) -> None:
        """The reply is stopped if its client disconnects."""
        super().__init__(reply)
        self._reply = reply

    def encode(self, event: LiveEvent | ChoiceEvent) -> bytes:
        self.finished = is_last(event)
        text = text_of(event)
        return text_event(text) if text else b""

    def encode_error(self, error: ApplianceError) -> bytes:
        return text_event(error_text(error.message))

    def close(self) -> None:
        """The stream has ended or its client has gone."""
        if self.finished:
            super().close()
        else:
            stop(self._reply)


class PlainTextHandler:
    """A WebSocket without a subprotocol: one JSON request, then the reply, a frame for a piece."""

    def __init__(
        self, begin: Callable[[str, SocketClient], PlainReply], client: SocketClient
    ) -> None:
        """`begin` begins the reply that a request asks for, or raises ApplianceError."""
        self._begin = begin
        self._client = client
        self._wake: Callable[[], None] = lambda: None
        self._reply: PlainReply | None = None
        self._refusal: str | None = None
        self._requested = self._draining = self._stopping = self._closed = False
        self._lock = threading.Lock()
        self.ending: tuple[int, str] | None = None

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake` signals that there is something to take."""
        self._wake = wake

    def received(self, text: str) -> None:
        """The request; there is one for each connection (pool thread)."""
        if self._requested:
            return
        self._requested = True
        try:
            if self._draining:
                raise ShuttingDown
            reply = self._begin(text, self._client)
        except ApplianceError as ex:
            self._refusal = error_text(ex.message)
        else:
            reply.wake = self._wake
            with self._lock:
                self._reply = reply
                closed = self._closed
            if closed:
                stop(reply)
        self._wake()

    def take(self) -> list[bytes]:
        """Messages to send (stream writer's thread)."""
        texts: list[str] = []
        if self._refusal is not None:
            texts, done = [self._refusal], True
        else:
            events = self._reply.take() if self._reply else []
            texts = [text for event in events if (text := text_of(event))]
            done = any(is_last(event) for event in events)
        stopping = ShuttingDown().message
        if done:
            self.ending = (1000, "")
        elif self._stopping:
            texts.append(error_text(stopping))
            self.ending = (1012, stopping)
        elif self._draining and not self._requested:
            self.ending = (1001, stopping)
        return [text.encode() for text in texts]

    def drain(self) -> None:
        """Accept no request any more."""
        self._draining = True

    def stop_soon(self) -> None:
        """End now."""
        self._stopping = True

    def close(self) -> None:
        """The connection is closed or about to be."""
        with self._lock:
            self._closed = True
            reply = self._reply
        if reply is not None:
            if self.ending is None:
                stop(reply)
            else:
                reply.close()
