"""Stored chats: sessions, their messages, and the replies in them."""

import falcon

from appliance.api.chat.reply_requests import ReplyStarter
from appliance.api.chat.reply_stream import EVENTS, ReplyStream
from appliance.api.chat.schemas import (
    LiveQuery,
    MessagesAnswer,
    MessagesQuery,
    NewSession,
    ReplyIn,
    SessionChange,
    SessionsQuery,
    TurnIn,
)
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.bodies import decode, decode_query
from appliance.chat.live_reply import Follower
from appliance.chat.turns import Turns
from appliance.store.callers.folders import FolderBook
from appliance.store.sessions import ChangedSessions, Session, Sessions, Settings

operation = Operations("Sessions")

EVERYTHING = 2**31


class SessionList:
    """`/api/sessions`"""

    def __init__(self, sessions: Sessions, folders: FolderBook) -> None:
        self._sessions = sessions
        self._folders = folders

    @operation(query=SessionsQuery, gives=ChangedSessions)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Sessions: pinned ones first, then the most recently updated. All of them, some, or those
        that have changed."""
        query = decode_query(req, SessionsQuery)
        limit = query.limit or EVERYTHING
        if query.since is not None:
            resp.media = self._sessions.changes(query.since, limit)
        else:
            resp.media = self._sessions.page(limit, query.after)

    @operation(takes=NewSession, optional=True, gives=Session, status=201, errors=(409, 507))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a session; 201."""
        body = decode(req, NewSession, empty=NewSession())
        settings = body.settings.to_settings() if body.settings else Settings()
        if body.folder_id:
            folder = self._folders.get(req.context.caller.key_id or "", body.folder_id)
            settings = settings.over(folder.settings or Settings())
        session = self._sessions.create(body.title, settings=settings, folder_id=body.folder_id)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/sessions/{session.id}"
        resp.media = session


class OneSession:
    """`/api/sessions/{session_id}`, and below it `/messages` and `/restore`"""

    def __init__(self, sessions: Sessions, turns: Turns, folders: FolderBook) -> None:
        self._sessions = sessions
        self._turns = turns
        self._folders = folders

    @operation(gives=Session)
    def on_get(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """The session."""
        resp.media = self._sessions.get(session_id)

    @operation(takes=SessionChange, gives=Session, errors=(507,))
    def on_patch(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Change the title, pin, leaf, settings or folder."""
        body = decode(req, SessionChange)
        if body.folder_id:
            self._folders.get(req.context.caller.key_id or "", body.folder_id)
        resp.media = self._sessions.update(session_id, body.to_store())

    @operation(status=204, errors=(507,))
    def on_delete(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Delete it with all its messages; it can be restored for a while; 204."""
        self._turns.delete(session_id)
        resp.status = falcon.HTTP_204

    @operation(gives=Session, errors=(507,))
    def on_post_restore(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Restore a deleted session."""
        resp.media = self._sessions.restore(session_id)

    @operation(query=MessagesQuery, gives=MessagesAnswer)
    def on_get_messages(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Messages of the tree, the oldest first: all of them, or the newest."""
        query = decode_query(req, MessagesQuery)
        limit, before = query.limit or EVERYTHING, query.before
        resp.media = MessagesAnswer(*self._sessions.some_messages(session_id, limit, before))


class SessionReplies:
    """Replies in a session: `/turns`, `/messages/{message_id}/…`, `/stop`, `/live`.

    Replies are streamed, and go on if the client disconnects.
    """

    def __init__(self, turns: Turns, replies: ReplyStarter) -> None:
        self._turns = turns
        self._replies = replies

    @operation(takes=TurnIn, streams=EVENTS, errors=(409, 507))
    def on_post(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """A turn: a user's message, and the reply to it."""
        body = decode(req, TurnIn)
        self._send(req, resp, self._replies.turn(session_id, body, req.context.caller))

    @operation(takes=ReplyIn, optional=True, streams=EVENTS, errors=(409, 507))
    def on_post_regenerate(
        self, req: falcon.Request, resp: falcon.Response, session_id: str, message_id: str
    ) -> None:
        """An alternative to a reply, or a reply to a message that has none."""
        body = decode(req, ReplyIn, empty=ReplyIn())
        caller = req.context.caller
        self._send(req, resp, self._replies.regenerate(session_id, message_id, body, caller))

    @operation(takes=ReplyIn, optional=True, streams=EVENTS, errors=(409, 507))
    def on_post_continue(
        self, req: falcon.Request, resp: falcon.Response, session_id: str, message_id: str
    ) -> None:
        """Continue a reply that was stopped, interrupted or too long."""
        body = decode(req, ReplyIn, empty=ReplyIn())
        caller = req.context.caller
        self._send(req, resp, self._replies.continue_reply(session_id, message_id, body, caller))

    @operation(status=204)
    def on_post_stop(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Stop the reply that is being generated; 204 whether or not there was one."""
        self._turns.stop(session_id)
        resp.status = falcon.HTTP_204

    @operation(query=LiveQuery, streams=EVENTS)
    def on_get_live(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Follow the reply that is being generated, or that of `message_id`, from a character on.

        `Last-Event-ID`, which a browser's EventSource sends when it reconnects, has both.
        """
        query = decode_query(req, LiveQuery)
        start, message_id = query.start, query.message_id
        received, _, offset = (req.get_header("Last-Event-ID") or "").rpartition(":")
        if received and offset.isdecimal():
            message_id, start = received, int(offset)
        follower = self._turns.follow(session_id, start, message_id)
        streams.send(req, resp, ReplyStream(follower))

    def _send(self, req: falcon.Request, resp: falcon.Response, follower: Follower) -> None:
        follower.wait_answered(streams.FIRST_EVENT_SECONDS)
        streams.send(req, resp, ReplyStream(follower))
