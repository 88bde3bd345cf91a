"""`/chat/ws`: chats over a WebSocket.

With the subprotocol `appliance.v1` both sides speak JSON objects with a `type`, and one socket
serves any number of sessions, one request after the other or several at a time. Without it, the
client speaks as those of the original service do.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import falcon
import msgspec

from appliance.api.chat.reply_requests import Asking
from appliance.api.chat.socket_schemas import (
    SocketContinue,
    SocketFollow,
    SocketMessage,
    SocketPing,
    SocketRegenerate,
    SocketStop,
    SocketTurn,
)
from appliance.api.legacy.plain_text import PlainReply, PlainTalk
from appliance.api.legacy.requests import Original, OriginalRequest, fields_of, original_request
from appliance.api.middleware.auth import Guard
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode_json
from appliance.api.wire.streams import described
from appliance.auth.keys.scopes import Caller
from appliance.chat.events import ReplyEnded, StoredFollower
from appliance.chat.live_reply import Follower
from appliance.chat.turns import Turns
from appliance.errors import ApplianceError, NotFound, RequestError, ShuttingDown
from appliance.http.errors import error_object
from appliance.http.websocket import accept

operation = Operations("Original service")

GOING_AWAY = (1001, "the appliance is shutting down")
SERVICE_RESTART = (1012, "the appliance is shutting down; the reply can be followed again later")


class ChatSocket:
    """`GET /chat/ws`"""

    def __init__(self, turns: Turns, asking: Asking, original: Original, guard: Guard) -> None:
        self._turns = turns
        self._asking = asking
        self._original = original
        self._guard = guard

    @operation(status=101, errors=(400, 426))
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A WebSocket."""
        session_id = req.get_param("session_id") or ""
        caller: Caller = req.context.caller
        asking = self._asking.of(caller)

        def count() -> None:
            self._guard.take(caller)

        def prompt(request: OriginalRequest, session: str) -> Follower:
            return self._original.turn(request, session, caller)

        def ask(text: str) -> PlainReply:
            count()
            request = original_request(fields_of(text), session_id)
            return self._original.begin(request, caller)

        accept(
            req,
            resp,
            {
                "appliance.v1": lambda: EventTalk(self._turns, asking, prompt, session_id, count),
                None: lambda: PlainTalk(ask),
            },
        )


class EventTalk:
    """The subprotocol `appliance.v1`."""

    def __init__(
        self,
        turns: Turns,
        asking: Asking,
        prompt: Callable[[OriginalRequest, str], Follower],
        session_id: str,
        count: Callable[[], None],
    ) -> None:
        """
        Args:
            turns: to follow and stop.
            asking: to begin.
            prompt: begins what a request of the original service's asks of a session.
            session_id: is meant where a message names no session; empty: none is.
            count: called for each message that asks for a reply; raises if it is one too many.
        """
        self._turns = turns
        self._asking = asking
        self._prompt = prompt
        self._count = count
        self._session_id = session_id
        self._lock = threading.Lock()
        self._followers: list[Follower | StoredFollower] = []
        self._begun: set[str] = set()
        """Sessions with a reply under way that was asked for here."""
        self._answers: deque[dict[str, Any]] = deque()
        self._draining = self._expired = self._closed = False
        self._wake: Callable[[], None] = lambda: None
        self.ending: tuple[int, str] | None = None

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake` says that there is something to take."""
        self._wake = wake

    # -- a pool thread -----------------------------------------------------------------------------

    def received(self, text: str) -> None:
        """A message of the client's."""
        session_id = ""
        try:
            message = self._understood(text)
            if isinstance(message, SocketPing):
                self._answer({"type": "pong"})
                return
            session_id = message.session_id or self._session_id
            if isinstance(message, SocketStop):
                self._stop(session_id)
            elif not session_id:
                raise RequestError("session_id is missing", param="session_id")
            elif isinstance(message, SocketFollow):
                self._follow(self._turns.follow(session_id, message.start, message.message_id))
            else:
                self._begin(session_id, message)
        except ApplianceError as ex:
            self._answer({"type": "error", "session_id": session_id or None, **error_object(ex)})

    def _understood(self, text: str) -> SocketMessage | OriginalRequest:
        """A message with a type, or a request as the original service's clients make it."""
        fields = fields_of(text)
        if "prompt" in fields and "type" not in fields:
            return original_request(fields, self._session_id)
        message: SocketMessage = decode_json(text, SocketMessage)
        return message

    def _begin(
        self,
        session_id: str,
        message: SocketTurn | SocketRegenerate | SocketContinue | OriginalRequest,
    ) -> None:
        if self._draining:
            raise ShuttingDown("the appliance is shutting down")
        self._count()
        if isinstance(message, SocketTurn):
            follower = self._asking.turn(session_id, message)
        elif isinstance(message, OriginalRequest):
            follower = self._prompt(message, session_id)
        elif isinstance(message, SocketRegenerate):
            follower = self._asking.regenerate(session_id, message.message_id, message)
        else:
            follower = self._asking.go_on(session_id, message.message_id, message)
        with self._lock:
            self._begun.add(session_id)
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

    # -- the pump ----------------------------------------------------------------------------------

    def take(self) -> list[bytes]:
        """What is to be sent."""
        with self._lock:
            answers = list(self._answers)
            self._answers.clear()
            followers = list(self._followers)
        for follower in followers:
            for news in follower.take():
                name, data = described(news)
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
        if self._expired and self._followers:
            self.ending = SERVICE_RESTART
        elif self._expired or (self._draining and not self._followers):
            self.ending = GOING_AWAY
        return [msgspec.json.encode(answer) for answer in answers]

    def _forget(self, follower: Follower | StoredFollower) -> None:
        follower.close()
        with self._lock:
            self._followers.remove(follower)
            if not any(other.session_id == follower.session_id for other in self._followers):
                self._begun.discard(follower.session_id)

    def drain(self) -> None:
        """Nothing new; the end comes when what is under way has ended."""
        self._draining = True

    def expire(self) -> None:
        """The end, now. Replies go on without this follower, and are kept."""
        self._expired = True

    def close(self) -> None:
        """The connection is gone or will be. Replies go on."""
        with self._lock:
            self._closed = True
            followers = list(self._followers)
            self._followers.clear()
        for follower in followers:
            follower.close()
