"""Files to attach to messages: uploaded in parts, read, and measured."""

from typing import Annotated, Any

import falcon
import msgspec
from msgspec import Meta

from appliance.api.chat.schemas import ModelName
from appliance.api.generation.embedding import read_text
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode_query
from appliance.auth.keys.scopes import Caller
from appliance.chat.attachments.uploads import AttachmentUploads
from appliance.engine.serving.pool import Pool
from appliance.engine.types import AttachedText, TextRequest
from appliance.errors import RequestError
from appliance.store.callers.attachments import MOST_BYTES, MOST_OF_A_MESSAGE
from appliance.store.sessions import Attachment, Sessions
from appliance.store.settings import DefaultProfile

operation = Operations("Attachments")

OCTETS = "application/octet-stream"


class NewAttachment(Body, kw_only=True, frozen=True):
    """`POST /api/attachments`."""

    name: Annotated[str, Meta(min_length=1, max_length=1000)]
    """Of the file."""
    bytes: Annotated[int, Meta(ge=0, le=2**53)]
    """Of all of it; the body may be its first part."""


class AttachmentPart(Body, kw_only=True, frozen=True):
    """`PATCH /api/attachments/{attachment_id}`."""

    offset: Annotated[int, Meta(ge=0, le=MOST_BYTES)]
    """Where in the file the body begins."""


class FitQuery(Body, kw_only=True, frozen=True):
    """`GET /api/attachments/fit`."""

    ids: str
    """Of attachments that one message is to have, with commas between them."""
    session_id: str | None = None
    """The chat that it is for, whose model counts."""
    model: ModelName | None = None
    """The model that counts instead."""


class AttachmentFit(msgspec.Struct, frozen=True):
    """How much of an attachment fits into the model's context."""

    id: str
    tokens: int
    """Of all of its text."""
    shown: int | None
    """Characters that the model is shown; null: all."""


class AttachmentFits(msgspec.Struct, frozen=True):
    """The attachments of one message."""

    model: str
    n_ctx: int
    """Tokens that the model's context holds."""
    fits: list[AttachmentFit]


class AttachmentsResource:
    """`/api/attachments` and below."""

    def __init__(
        self, uploads: AttachmentUploads, pool: Pool, sessions: Sessions, profile: DefaultProfile
    ) -> None:
        self._sessions = sessions
        self._profile = profile
        self._uploads = uploads
        self._book = uploads.book
        self._pool = pool

    @operation(
        takes=Any,
        takes_type=OCTETS,
        optional=True,
        gives=Attachment,
        status=201,
        query=NewAttachment,
        errors=(409, 415, 507),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin to upload a file; the body is its first part, or all of it. Parts have up to 8 MB,
        a file 50 MB. Once it is whole it is read: `kind` says what it is."""
        query = decode_query(req, NewAttachment)
        data = req.bounded_stream.read()
        resp.media = self._uploads.begin(_owner(req), query.name, query.bytes, data)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/attachments/{resp.media.id}"

    @operation(
        takes=Any,
        takes_type=OCTETS,
        gives=Attachment,
        query=AttachmentPart,
        errors=(409, 415, 507),
    )
    def on_patch_one(self, req: falcon.Request, resp: falcon.Response, attachment_id: str) -> None:
        """The next part of a file. A part that was stored already may be sent again."""
        offset = decode_query(req, AttachmentPart).offset
        data = req.bounded_stream.read()
        resp.media = self._uploads.add(_owner(req), attachment_id, offset, data)

    @operation(gives=Attachment)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, attachment_id: str) -> None:
        """An attachment, without its content."""
        resp.media = self._book.get(_owner(req), attachment_id)

    @operation(status=204, errors=(409, 507))
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, attachment_id: str) -> None:
        """Remove an attachment that was not sent, for good; 204. One that was sent goes with its
        message."""
        self._book.remove(_owner(req), attachment_id)
        resp.status = falcon.HTTP_204

    @operation(gives=OCTETS)
    def on_get_content(
        self, req: falcon.Request, resp: falcon.Response, attachment_id: str
    ) -> None:
        """The file as it was uploaded."""
        attachment = self._book.get(_owner(req), attachment_id)
        resp.data = self._book.content(_owner(req), attachment_id)
        # Whatever is in it: no browser shows it as a page of this origin.
        resp.content_type = OCTETS
        resp.downloadable_as = attachment.name

    @operation(gives="text/plain")
    def on_get_text(self, req: falcon.Request, resp: falcon.Response, attachment_id: str) -> None:
        """Its text, as the model reads it."""
        resp.text = self._book.text(_owner(req), attachment_id)
        resp.content_type = "text/plain; charset=utf-8"

    @operation(gives=AttachmentFits, query=FitQuery, errors=(404,))
    def on_get_fit(self, req: falcon.Request, resp: falcon.Response) -> None:
        """How many tokens the attachments of a message have, and how much of them fits."""
        query = decode_query(req, FitQuery)
        ids = query.ids.split(",")
        if len(ids) > MOST_OF_A_MESSAGE:
            raise RequestError(
                f"a message has {MOST_OF_A_MESSAGE} attachments at most", param="ids"
            )
        owner = _owner(req)
        found = [self._book.get(owner, id) for id in ids]
        texts = [
            AttachedText(it.name, self._book.text(owner, it.id), it.characters) for it in found
        ]
        model = self._pool.find(query.model or self._model_of(query.session_id))
        wanted = TextRequest(kind="fit", attached=texts, owner=owner)
        done = read_text(model, wanted, req.env["appliance.on_disconnect"])
        fits = [
            AttachmentFit(it.id, fit.tokens, fit.shown)
            for it, fit in zip(found, done.fits, strict=True)
        ]
        resp.media = AttachmentFits(model.id, done.n_ctx, fits)

    def _model_of(self, session_id: str | None) -> str | None:
        settings = self._sessions.get(session_id).settings if session_id else None
        return (settings and settings.model) or self._profile.get().model


def _owner(req: falcon.Request) -> str:
    caller: Caller = req.context.caller
    return caller.owner
