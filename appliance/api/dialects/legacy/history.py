"""Stored chats in the original service's form: ids chosen by clients, with roles and contents."""

from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import falcon
import msgspec
from msgspec import Meta

from appliance.api.dialects.legacy.errors import TextError, text_error
from appliance.api.dialects.openai.models import OpenAIModels
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode_json, read_json
from appliance.auth.keys.scopes import Caller
from appliance.chat.turns import Turns
from appliance.errors import SessionNotFound
from appliance.store.sessions import ClientId, Message, SessionChanges, Sessions

operation = Operations("Original service")

HISTORY = "/chat/history/"
ROLLBACK = "/rollback"


class HistoryMessage(msgspec.Struct, frozen=True):
    """A message of a chat."""

    role: str
    content: str


class LegacyModels(OpenAIModels):
    """`GET /models` and `GET /models/{id}`: OpenAI's, with the original service's errors."""

    error_format = staticmethod(text_error)


class SessionIds:
    """`GET /sessions`"""

    error_format = staticmethod(text_error)

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @operation(gives=list[str], error=TextError)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What the caller's clients call the sessions, and the ids of all others, newest first."""
        caller: Caller = req.context.caller
        resp.media = self._sessions.client_ids(caller.key_id or "")


class Rollback(msgspec.Struct, kw_only=True, frozen=True):
    """`POST /chat/history/{id}/rollback`."""

    amount: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 1
    """Messages to remove, the newest first; the system message stays. Anything but a number from 0
    on is 1."""


class RolledBack(msgspec.Struct, frozen=True):
    """The answer to it."""

    status: Literal["ok"] = "ok"


class History:
    """`/chat/history/{session_id}`, where the id may be any text, and `…/rollback`"""

    error_format = staticmethod(text_error)

    def __init__(self, sessions: Sessions, turns: Turns) -> None:
        self._sessions = sessions
        self._turns = turns

    @operation(gives=list[HistoryMessage], error=TextError)
    def on_get(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """The chat's messages as role and content; empty for an unknown session."""
        try:
            branch = self._branch(self._find(req))
        except SessionNotFound:
            branch = []
        resp.media = [HistoryMessage(m.role, m.content) for m in branch]

    @operation(status=204, errors=(507,), error=TextError)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Delete the chat; its running reply stops. 204, even if there was none."""
        with suppress(SessionNotFound):
            self._turns.delete(self._find(req))
        resp.status = falcon.HTTP_204

    @operation(takes=Rollback, optional=True, gives=RolledBack, errors=(409, 507), error=TextError)
    def on_post(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """At `…/rollback`: remove the newest messages.

        A running reply is stopped first, and counts with the text that it has.
        """
        if not session_id.endswith(ROLLBACK):
            raise falcon.HTTPNotFound
        amount = _amount(decode_json(read_json(req), Any) if req.content_length else {})
        with suppress(SessionNotFound):
            self._roll_back(self._find(req), amount)
        resp.media = RolledBack()

    def _roll_back(self, session_id: str, amount: int) -> None:
        self._turns.stop_and_wait(session_id)
        branch = self._branch(session_id)
        keep = [m for m in branch if m.role == "system"]
        others = [m for m in branch if m.role != "system"]
        keep += others[: max(0, len(others) - amount)]
        leaf_id = keep[-1].id if keep else None
        self._sessions.update(session_id, SessionChanges(leaf_id=leaf_id))

    def _find(self, req: falcon.Request) -> str:
        """The session's id.

        Raises:
            SessionNotFound: the client's id names none.
        """
        caller: Caller = req.context.caller
        # As it was sent: an escaped slash is part of the id.
        _, _, name = req.env["REQUEST_URI"].partition("?")[0].partition(HISTORY)
        name = name.removesuffix("/")
        if req.method == "POST":
            name = name.removesuffix(ROLLBACK)
        client_id = unquote(name.encode("latin-1").decode("utf-8", "replace"))
        return self._sessions.id_of_client(ClientId(client_id, caller.key_id or ""))

    def _branch(self, session_id: str) -> list[Message]:
        """The session's current branch, without empty replies."""
        leaf = self._sessions.get(session_id).leaf_id
        if leaf is None:
            return []
        path = self._sessions.path(session_id, leaf)
        return [m for m in path if m.content or m.role != "assistant"]


def _amount(body: Any) -> int:
    amount = body.get("amount") if isinstance(body, dict) else None
    if isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0:
        return amount
    return 1
