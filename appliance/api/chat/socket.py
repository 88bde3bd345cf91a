"""`/chat/ws`: chats over a WebSocket.

With the subprotocol `appliance.v1` both sides send JSON objects with a `type`, and one socket
serves any number of sessions, one request after the other or several at once. Without it, the
client speaks the protocol of the original service.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import falcon
import msgspec

from appliance.api.chat.reply_requests import ReplyStarter
from appliance.api.chat.reply_stream import name_and_data
from appliance.api.chat.schemas import (
    SocketContinue,
    SocketFollow,
    SocketMessage,
    SocketPing,
    SocketRegenerate,
    SocketStop,
    SocketTurn,
)
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode_fields, decode_json
from appliance.api.wire.websocket import accept
from appliance.auth.keys.scopes import Caller
from appliance.chat.events import ReplyEnded, StoredFollower
from appliance.chat.live_reply import Follower
from appliance.chat.turns import Turns
from appliance.errors import ApplianceError, NotFound, RequestError, ShuttingDown
from appliance.http.errors import error_object
from appliance.http.websocket import WebSocketHandler

operation = Operations("Original service")

GOING_AWAY = (1001, ShuttingDown().message)
SERVICE_RESTART = (1012, f"{ShuttingDown().message}; the reply can be followed again later")


@dataclass(frozen=True)
class SocketClient:
    """Who is at the other end of a WebSocket."""

    caller: Caller
    session_id: str
    """The session of messages that name none; empty: there is none."""
    count_request: Callable[[], None]
    """Called for each message that asks for a reply. Raises TooManyRequests."""


class ChatSocket:
    """`GET /chat/ws`"""

    def __init__(
        self,
        handlers: Mapping[str | None, Callable[[SocketClient], WebSocketHandler]],
        count_request: Callable[[Caller], object],
    ) -> None:
        """
        Args:
            handlers: what serves a client, by subprotocol; None: of a client that offers none.
            count_request: counts a request of a caller's, or raises TooManyRequests.
        """
        self._handlers = handlers
        self._count_request = count_request

    @operation(status=101, errors=(400, 426))
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A WebSocket."""
        caller: Caller = req.context.caller

        def count() -> None:
            self._count_request(caller)

        client = SocketClient(caller, req.get_param("session_id") or "", count)
        handlers = {name: partial(make, client) for name, make in self._handlers.items()}
        accept(req, resp, handlers)


@dataclass(frozen=True)
class UntypedTurn:
    """A turn that another dialect's message asks for."""

    session_id: str
    """Empty: it names none."""
    begin: Callable[[str, Caller], Follower]
    """Begins it in a session, or raises ApplianceError."""


ReadUntyped = Callable[[dict[str, msgspec.Raw], str], UntypedTurn | None]
"""Reads a message by its fields; the text is the session of one that names none. None: it is not
of that dialect. Raises RequestError."""


class ChatSocketHandler:
    """The subprotocol `appliance.v1`."""

    def __init__(
        self, turns: Turns, replies: ReplyStarter, read_untyped: ReadUntyped, client: SocketClient
    ) -> None:
        """
        Args:
            turns: to follow and stop.
            replies: to begin.
            read_untyped: reads messages without a `type`.
            client: who is served.
        """
        self._turns = turns
        self._replies = replies
        self._read_untyped = read_untyped
        self._client = client
        self._lock = threading.Lock()
        self._followers: list[Follower | StoredFollower] = []
        self._begun: set[str] = set()
        """Sessions with a running reply that was begun on this connection."""
        self._answers: deque[dict[str, Any]] = deque()
        self._draining = self._stopping_soon = self._closed = False
        self._wake: Callable[[], None] = lambda: None
        self.ending: tuple[int, str] | None = None

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake` signals that there is something to take."""
        self._wake = wake

    # -- a pool thread -----------------------------------------------------------------------------

    def received(self, text: str) -> None:
        """A message from the client."""
        session_id = ""
        try:
            message = self._read(text)
            if isinstance(message, SocketPing):
                self._answer({"type": "pong"})
                return
            session_id = message.session_id or self._client.session_id
            if isinstance(message, SocketStop):
                self._stop(session_id)
            elif not session_id:
                raise RequestError("session_id is missing", param="session_id")
            elif isinstance(message, SocketFollow):
                self._follow(self._turns.follow(session_id, message.start, message.message_id))
            else:
                self._begin(session_id, message)
        except ApplianceError as ex:
            error = error_object(ex)
            self._answer({"type": "error", "session_id": session_id or None, "error": error})

    def _read(self, text: str) -> SocketMessage | UntypedTurn:
        fields = decode_fields(text)
        untyped = None
        if "type" not in fields:
            untyped = self._read_untyped(fields, self._client.session_id)
        message: SocketMessage | UntypedTurn = untyped or decode_json(text, SocketMessage)
        return message

    def _begin(
        self,
        session_id: str,
        message: SocketTurn | SocketRegenerate | SocketContinue | UntypedTurn,
    ) -> None:
        if self._draining:
            raise ShuttingDown
        self._client.count_request()
        caller = self._client.caller
        match message:
            case UntypedTurn():
                follower = message.begin(session_id, caller)
            case SocketTurn():
                follower = self._replies.turn(session_id, message, caller)
            case SocketRegenerate():
                follower = self._replies.regenerate(session_id, message.message_id, message, caller)
            case SocketContinue():
                follower = self._replies.continue_reply(
                    session_id, message.message_id, message, caller
                )
        with self._lock:
            self._begun.add(follower.session_id)
        self._follow(follower)

    def _stop(self, session_id: str) -> None:
        with self._lock:
            ids = [session_id] if session_id else list(self._begun)
        for one in ids:
            try:
                self._turns.stop(one)
            except NotFound:
                if session_id:
                    raise

    def _follow(self, follower: Follower | StoredFollower) -> None:
        follower.wake = self._wake
        with self._lock:
            closed = self._closed
            if not closed:
                self._followers.append(follower)
        if closed:
            follower.close()
        self._wake()

    def _answer(self, answer: dict[str, Any]) -> None:
        with self._lock:
            self._answers.append(answer)
        self._wake()

    # -- the stream writer -------------------------------------------------------------------------

    def take(self) -> list[bytes]:
        """Messages to send."""
        with self._lock:
            answers = list(self._answers)
            self._answers.clear()
            followers = list(self._followers)
        for follower in followers:
            for news in follower.take():
                name, data = name_and_data(news)
                answers.append(
                    {
                        "type": name,
                        "session_id": follower.session_id,
                        "message_id": follower.message_id,
                        **msgspec.to_builtins(data),
                    }
                )
                if isinstance(news, ReplyEnded):
                    self._forget(follower)
        if self._stopping_soon and self._followers:
            self.ending = SERVICE_RESTART
        elif self._stopping_soon or (self._draining and not self._followers):
            self.ending = GOING_AWAY
        return [msgspec.json.encode(answer) for answer in answers]

    def _forget(self, follower: Follower | StoredFollower) -> None:
        follower.close()
        with self._lock:
            self._followers.remove(follower)
            if not any(other.session_id == follower.session_id for other in self._followers):
                self._begun.discard(follower.session_id)

    def drain(self) -> None:
        """Accept nothing new; the connection ends once the replies have ended."""
        self._draining = True

    def stop_soon(self) -> None:
        """End now. Replies go on without this follower, and are stored."""
        self._stopping_soon = True

    def close(self) -> None:
        """The connection is closed or about to be. Replies go on."""
        with self._lock:
            self._closed = True
            followers = list(self._followers)
            self._followers.clear()
        for follower in followers:
            follower.close()
