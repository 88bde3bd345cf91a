"""Single messages of a chat: edited, removed, branched off; and what the model was given."""

import time

import falcon
import msgspec

from appliance.api.chat.schemas import (
    BranchIn,
    EditIn,
    RemovalQuery,
    SentAnswer,
)
from appliance.api.chat.sent_prompt import read_prompt
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode, decode_query
from appliance.chat.turns import Turns
from appliance.config.schema import LimitsSettings
from appliance.engine.serving.pool import Pool
from appliance.errors import RequestError
from appliance.store.import_export import ChatImportExport
from appliance.store.messages import MessageChanges, Removed, copy_attachments
from appliance.store.sessions import Message, Session, Sessions
from appliance.store.settings import DefaultProfile

operation = Operations("Sessions")


class OneMessage:
    """`/api/sessions/{session_id}/messages/{message_id}`, and below it `/edit`, `/restore` and
    `/branch`"""

    def __init__(
        self,
        sessions: Sessions,
        changes: MessageChanges,
        chats: ChatImportExport,
        limits: LimitsSettings,
    ) -> None:
        self._sessions = sessions
        self._changes = changes
        self._chats = chats
        self._limits = limits

    @operation(takes=EditIn, gives=Message, status=201, errors=(409, 507))
    def on_post_edit(
        self, req: falcon.Request, resp: falcon.Response, session_id: str, message_id: str
    ) -> None:
        """Another version of a message, with this text, beside the first one; it has `edited`.
        201."""
        content = decode(req, EditIn).content
        most = self._limits.max_prompt_length
        if len(content) > most:
            raise RequestError(
                f"the message has {len(content)} characters, at most {most} are allowed",
                param="content",
            )
        resp.media = self._changes.edit(session_id, message_id, content)
        resp.status = falcon.HTTP_201

    @operation(query=RemovalQuery, gives=Removed, errors=(409, 507))
    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, session_id: str, message_id: str
    ) -> None:
        """Remove a message, or with `turn` the question and its replies. What follows stays, unless
        there are other versions of the message. It can be restored for a while."""
        turn = decode_query(req, RemovalQuery).turn
        resp.media = self._changes.remove(session_id, message_id, turn=turn)

    @operation(gives=Session, errors=(507,))
    def on_post_restore(
        self, req: falcon.Request, resp: falcon.Response, session_id: str, message_id: str
    ) -> None:
        """Undo the removal of this message, with all that went with it."""
        resp.media = self._changes.restore(session_id, message_id)

    @operation(takes=BranchIn, optional=True, gives=Session, status=201, errors=(409, 507))
    def on_post_branch(
        self, req: falcon.Request, resp: falcon.Response, session_id: str, message_id: str
    ) -> None:
        """A chat of its own with a copy of all messages up to this one; 201."""
        body = decode(req, BranchIn, empty=BranchIn())
        session = self._sessions.get(session_id)
        path = self._sessions.path(session_id, message_id)
        copy = msgspec.structs.replace(
            session,
            id="",
            title=session.title if body.title is None else body.title,
            pinned=False,
            created_at=(now := time.time_ns() // 1_000_000),
            updated_at=now,
            leaf_id=message_id,
            client_id=None,
        )
        made = self._chats.add(copy, path, copy_attachments)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/sessions/{made.id}"
        resp.media = made


class SentMessages:
    """`/api/sessions/{session_id}/messages/{message_id}/prompt`"""

    def __init__(self, turns: Turns, profile: DefaultProfile, pool: Pool) -> None:
        self._turns = turns
        self._profile = profile
        self._pool = pool

    @operation(gives=SentAnswer)
    def on_get_prompt(
        self, req: falcon.Request, resp: falcon.Response, session_id: str, message_id: str
    ) -> None:
        """The prompt that a reply is the reply to, token by token, rendered once more by the model
        that wrote it; 404 `model_not_found` if that is gone."""
        sent = self._turns.sent(session_id, message_id, lambda: self._profile.get().system_prompt)
        model = self._pool.find(sent.reply.model)
        on_disconnect = req.env["appliance.on_disconnect"]
        resp.media = read_prompt(model, sent, req.context.caller.owner, on_disconnect)
