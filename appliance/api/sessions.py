"""Stored chats: sessions, their messages, and turns."""

import falcon
import msgspec

from appliance.api import sse
from appliance.api.schemas import NewSession, SessionChange, TurnIn, decode
from appliance.chat.turn import TurnRequest, Turns
from appliance.engine.pool import Pool
from appliance.store.sessions import Sessions


def _answer(resp: falcon.Response, body: object) -> None:
    resp.data = msgspec.json.encode(body)
    resp.content_type = falcon.MEDIA_JSON


class SessionList:
    """`/api/sessions`"""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All sessions, newest first."""
        _answer(resp, {"sessions": self._sessions.list()})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A new session; 201."""
        body = decode(req, NewSession, empty=NewSession())
        session = self._sessions.create(body.title)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/sessions/{session.id}"
        _answer(resp, session)


class OneSession:
    """`/api/sessions/{session_id}`"""

    def __init__(self, sessions: Sessions, turns: Turns) -> None:
        self._sessions = sessions
        self._turns = turns

    def on_get(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """The session."""
        _answer(resp, self._sessions.get(session_id))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Another title."""
        body = decode(req, SessionChange)
        _answer(resp, self._sessions.rename(session_id, body.title))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Gone, with all messages; 204."""
        self._turns.delete(session_id)
        resp.status = falcon.HTTP_204

    def on_get_messages(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Every message of the tree, oldest first."""
        _answer(resp, {"messages": self._sessions.messages(session_id)})


class SessionTurns:
    """`/api/sessions/{session_id}/turns`, `/stop` and `/live`"""

    def __init__(self, turns: Turns, pool: Pool, max_response_tokens: int) -> None:
        """`max_response_tokens`: see `[limits]`."""
        self._turns = turns
        self._pool = pool
        self._max_tokens = max_response_tokens

    def on_post(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """A turn; its reply as a stream. Hanging up does not end the reply."""
        body = decode(req, TurnIn)
        request = TurnRequest(
            content=body.content,
            parent_id=body.parent_id,
            system_prompt=body.system_prompt,
            sampling=body.params(self._max_tokens),
        )
        model = self._pool.find(body.model)
        follower = self._turns.begin(session_id, model.id, model.submit, request)
        sse.send(req, resp, sse.ReplyStream(follower))

    def on_post_stop(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """End the reply under way; 204 whether or not there was one."""
        self._turns.stop(session_id)
        resp.status = falcon.HTTP_204

    def on_get_live(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """The reply under way from the character `from` on."""
        start = req.get_param_as_int("from", min_value=0, default=0)
        sse.send(req, resp, sse.ReplyStream(self._turns.follow(session_id, start)))
