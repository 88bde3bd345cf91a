"""Server-sent events out of engine and chat, as streams that the pump writes.

A stream is fed on the engine's thread, which only leaves the news and wakes the pump; making JSON
of it is done on the pump's thread.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import falcon
import msgspec

from appliance.chat.events import (
    LiveEvent,
    PromptRead,
    ReplyEnded,
    ReplyUsage,
    StoredFollower,
    TurnAccepted,
    TurnBegan,
    Waiting,
)
from appliance.chat.live_reply import Follower
from appliance.chat.reply_text import TextAdded
from appliance.engine.protocol import Accepted, Failed, Finished, Queued, SequenceEvent
from appliance.errors import ApplianceError, ShuttingDown, from_code
from appliance.http.errors import error_object

DONE = b"data: [DONE]\n\n"
MEDIA_TYPE = "text/event-stream; charset=utf-8"
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def event(data: Any, name: str | None = None, id: str | None = None) -> bytes:
    """One event; `data` becomes JSON."""
    head = f"event: {name}\n" if name else ""
    if id is not None:
        head += f"id: {id}\n"
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


def plain(text: str) -> bytes:
    """An event whose data is the text itself; lines of the text are lines of the data."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join(f"data: {line}\n" for line in lines).encode() + b"\n"


_NAMES: dict[type[LiveEvent], str] = {
    TurnBegan: "turn",
    TurnAccepted: "accepted",
    Waiting: "queued",
    PromptRead: "prefill",
    TextAdded: "delta",
    ReplyUsage: "usage",
}


def described(news: LiveEvent) -> tuple[str, Any]:
    """Name and data of what a follower hears, the same over SSE and WebSocket."""
    if not isinstance(news, ReplyEnded):
        return _NAMES[type(news)], news
    if news.error:
        return "error", {**error_object(news.error), "message": news.message}
    return "done", {"message": news.message}


def send(req: falcon.Request, resp: falcon.Response, stream: "Stream") -> None:
    """Answer with a stream. It is closed when it has ended or the client has gone."""
    resp.content_type = MEDIA_TYPE
    resp.set_headers(HEADERS)
    req.env["appliance.park"](stream)


class Stream:
    """What the pump asks of a stream; see `http.stream_writer.PumpedStream`."""

    keep_alive = b": keep-alive\n\n"

    def __init__(self) -> None:
        self._wake: Callable[[], None] = lambda: None
        self.finished = False

    def attach(self, wake: Callable[[], None]) -> None:
        """The pump has it; `wake` tells the pump that there is something to take."""
        self._wake = wake
        wake()

    def take(self) -> bytes:
        """What is ready to be sent. On the pump's thread alone."""
        raise NotImplementedError

    def expire(self) -> None:
        """The server is stopping: end soon."""

    def close(self) -> None:
        """The stream has ended or its client has gone."""


class SequenceStream(Stream):
    """Events of one or more sequences of a stateless request. Hanging up cancels them."""

    def __init__(
        self,
        count: int,
        encode: Callable[[int, SequenceEvent], bytes],
        end: Callable[[], bytes],
        cancel: Callable[[], None],
    ) -> None:
        """`encode` makes bytes of sequence i's event; `end` what stands at the end of all."""
        super().__init__()
        self._open = count
        self._encode = encode
        self._end = end
        self._cancel = cancel
        self._news: deque[tuple[int, SequenceEvent]] = deque()
        self._answered = threading.Event()
        self._first: SequenceEvent | None = None
        self._expired = False

    def sink(self, index: int) -> Callable[[SequenceEvent], None]:
        """The sink of the request's sequence number `index`."""

        def put(event: SequenceEvent) -> None:
            self._news.append((index, event))
            if self._first is None or isinstance(event, Failed):
                self._first = event
            # A refusal of any of them decides; acceptance only when all have been read.
            self._answered.set()
            self._wake()

        return put

    def wait_answered(self, timeout: float) -> None:
        """Wait for the engine's first word.

        Raises:
            ApplianceError: it was a refusal.
        """
        self._answered.wait(timeout)
        first = self._first
        if isinstance(first, Failed):
            raise from_code(first.code, first.message, first.param)

    def take(self) -> bytes:
        out = b""
        while self._news and not self.finished:
            index, event_ = self._news.popleft()
            if isinstance(event_, Failed):
                error = from_code(event_.code, event_.message, event_.param)
                return out + self._failed(error)
            if isinstance(event_, Queued):
                out += f": place {event_.place} in the queue\n\n".encode()
            elif not isinstance(event_, Accepted):
                out += self._encode(index, event_)
            if isinstance(event_, Finished):
                self._open -= 1
                if not self._open:
                    out += self._end() + DONE
                    self.finished = True
        if self._expired and not self.finished:
            out += self._failed(ShuttingDown("the appliance is shutting down"))
        return out

    def _failed(self, error: ApplianceError) -> bytes:
        self.finished = True
        return event(error_object(error)) + DONE

    def expire(self) -> None:
        self._expired = True
        self._wake()

    def close(self) -> None:
        self._cancel()


class ReplyStream(Stream):
    """A live reply of a session. Hanging up does not end the reply."""

    def __init__(self, follower: Follower | StoredFollower) -> None:
        super().__init__()
        self._follower = follower
        self._expired = False
        follower.wake = self._news

    def _news(self) -> None:
        self._wake()  # whichever it is by then: the pump attaches later

    def take(self) -> bytes:
        out = b"".join(self._encode(news) for news in self._follower.take())
        if self._expired and not self.finished:
            self.finished = True
            out += event(error_object(ShuttingDown("the appliance is shutting down")), "error")
        return out

    def _encode(self, news: LiveEvent) -> bytes:
        if isinstance(news, ReplyEnded):
            self.finished = True
        name, data = described(news)
        if isinstance(news, TextAdded):
            return event(data, name, f"{self._follower.message_id}:{news.offset}")
        return event(data, name)

    def expire(self) -> None:
        self._expired = True
        self._wake()

    def close(self) -> None:
        self._follower.close()
