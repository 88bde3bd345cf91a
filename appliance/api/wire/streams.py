"""Responses that are streamed while they are generated, and server-sent events.

The engine's thread only puts events into a feed and wakes the stream; they are encoded on the
thread that writes all streams.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import falcon
import msgspec

from appliance.errors import ApplianceError, ShuttingDown

EventT = TypeVar("EventT")
EventT_co = TypeVar("EventT_co", covariant=True)

MEDIA_TYPE = "text/event-stream; charset=utf-8"
KEEP_ALIVE = b": keep-alive\n\n"
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

FIRST_EVENT_SECONDS = 10.0
"""How long the status line waits for the engine's first event before the stream begins without it.
A model that is still loading takes longer."""


def event(data: Any, name: str | None = None, id: str | None = None) -> bytes:
    """One event; `data` becomes JSON."""
    head = f"event: {name}\n" if name else ""
    if id is not None:
        head += f"id: {id}\n"
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


def text_event(text: str) -> bytes:
    """One event whose data is the text itself, line by line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join(f"data: {line}\n" for line in lines).encode() + b"\n"


class Feed(Protocol[EventT_co]):
    """The events of a reply that is being generated."""

    wake: Callable[[], None]
    """Called from any thread when there is something to take; must not block."""

    def take(self) -> Sequence[EventT_co]:
        """Events since the last call."""

    def close(self) -> None:
        """Nobody reads the feed any more."""


def wait_for_events(feed: Feed[EventT]) -> Iterator[EventT]:
    """Every event of a feed as it comes. Blocks in between, and never ends by itself."""
    woken = threading.Event()
    feed.wake = woken.set
    while True:
        yield from feed.take()
        woken.wait()
        woken.clear()


class FeedStream(Generic[EventT]):
    """A feed as the body of a response; see `http.stream_writer.ResponseStream`.

    Subclasses have `encode` and `encode_error`.
    """

    media_type: str = MEDIA_TYPE
    keep_alive: bytes | None = KEEP_ALIVE

    def __init__(self, feed: Feed[EventT]) -> None:
        """The feed is closed with the stream."""
        self.finished = False
        self._feed = feed
        self._stopping = False

    def encode(self, event: EventT) -> bytes:
        """What is sent for an event; sets `finished` for the last one."""
        raise NotImplementedError

    def encode_error(self, error: ApplianceError) -> bytes:
        """What is sent last, if the stream ends with an error."""
        raise NotImplementedError

    def attach(self, wake: Callable[[], None]) -> None:
        """The stream is going to be written; `wake` signals that there is something to read."""
        self._feed.wake = wake
        wake()

    def read(self) -> bytes:
        """What is ready to be sent (only on the stream writer's thread)."""
        out = b""
        for event in self._feed.take():
            if self.finished:
                break
            out += self.encode(event)
        if self._stopping and not self.finished:
            self.finished = True
            out += self.encode_error(ShuttingDown())
        return out

    def stop_soon(self) -> None:
        """The server is stopping: what is read next is the end."""
        self._stopping = True

    def close(self) -> None:
        """The stream has ended or its client has gone."""
        self._feed.close()


class StoredStream:
    """A file as the body of a response, read as fast as its client reads; see
    `http.stream_writer.ResponseStream`."""

    media_type = "application/octet-stream"
    keep_alive: bytes | None = None
    paced = True

    def __init__(self, pieces: Iterator[bytes], size: int) -> None:
        """`size`: bytes of all pieces. If there are fewer, the connection is cut: a client must not
        take a part for the whole."""
        self.finished = False
        self._pieces = pieces
        self._left = size

    def attach(self, wake: Callable[[], None]) -> None:
        """The stream is going to be written."""
        wake()

    def read(self) -> bytes:
        """The next piece (only on the stream writer's thread).

        Raises:
            EOFError: there is less than there should be.
        """
        piece = next(self._pieces, b"")
        self._left -= len(piece)
        self.finished = not piece
        if self.finished and self._left:
            raise EOFError("a file ended before its end: it was deleted, perhaps")
        return piece

    def stop_soon(self) -> None:
        """The server is stopping: what can be sent until it does is sent."""

    def close(self) -> None:
        """The stream has ended or its client has gone."""
        self._pieces = iter(())


def send(
    req: falcon.Request, resp: falcon.Response, stream: FeedStream[Any] | StoredStream
) -> None:
    """Respond with a stream. It is closed when it has ended or the client has gone."""
    resp.content_type = stream.media_type
    resp.set_headers(HEADERS)
    req.env["appliance.park"](stream)
