"""Stored chats in the original service's form: ids chosen by clients, with roles and contents."""

from contextlib import suppress
from typing import Annotated

import falcon
import msgspec
from msgspec import Meta

from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode
from appliance.chat.turns import Turns
from appliance.errors import SessionNotFound
from appliance.store.sessions import Message, SessionChanges, Sessions

operation = Operations("Original service")


class HistoryMessage(msgspec.Struct, frozen=True):
    """A message of a chat."""

    role: str
    content: str


class SessionIds:
    """`GET /sessions`"""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @operation(gives=list[str])
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The ids of all sessions, newest first."""
        resp.media = [session.id for session in self._sessions.list()]


class Rollback(Body, kw_only=True, frozen=True):
    """`POST /chat/history/{id}/rollback`."""

    amount: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    """Messages to remove, the newest first; the system message stays."""


class History:
    """`/chat/history/{session_id}`"""

    def __init__(self, sessions: Sessions, turns: Turns) -> None:
        self._sessions = sessions
        self._turns = turns

    @operation(gives=list[HistoryMessage])
    def on_get(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """The chat's messages as role and content; empty for an unknown session."""
        resp.media = self._messages(session_id)

    @operation(status=204, errors=(507,))
    def on_delete(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Delete the chat; its running reply stops. 204, even if there was none."""
        with suppress(SessionNotFound):
            self._turns.delete(session_id)
        resp.status = falcon.HTTP_204

    @operation(takes=Rollback, gives=list[HistoryMessage], errors=(409, 507))
    def on_post_rollback(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Remove the newest messages; answers with what remains.

        A running reply is stopped first, and counts with the text that it has.
        """
        amount = decode(req, Rollback).amount
        self._turns.stop_and_wait(session_id)
        branch = self._branch(session_id)
        keep = [m for m in branch if m.role == "system"]
        others = [m for m in branch if m.role != "system"]
        keep += others[: max(0, len(others) - amount)]
        leaf_id = keep[-1].id if keep else None
        self._sessions.update(session_id, SessionChanges(leaf_id=leaf_id))
        resp.media = self._messages(session_id)

    def _messages(self, session_id: str) -> list[HistoryMessage]:
        try:
            return [HistoryMessage(m.role, m.content) for m in self._branch(session_id)]
        except SessionNotFound:
            return []

    def _branch(self, session_id: str) -> list[Message]:
        """The session's current branch, without empty replies."""
        leaf = self._sessions.get(session_id).leaf_id
        if leaf is None:
            return []
        return [m for m in self._sessions.path(session_id, leaf) if m.content]
