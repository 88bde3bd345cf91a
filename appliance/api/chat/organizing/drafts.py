"""What each caller has typed and not sent."""

from typing import Annotated

import falcon
import msgspec
from msgspec import Meta

from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode
from appliance.store.callers.drafts import LONGEST, DraftBook

operation = Operations("Drafts")


class DraftIn(Body, kw_only=True, frozen=True):
    """`PUT /api/drafts`."""

    session_id: Annotated[str, Meta(max_length=200)] = ""
    """Empty: the chat that is to be."""
    text: Annotated[str, Meta(max_length=LONGEST)]
    """Empty: there is none any more."""


class DraftsAnswer(msgspec.Struct, frozen=True):
    """The caller's drafts."""

    drafts: dict[str, str]
    """By session id; "": of the chat that is to be."""


class Drafts:
    """`/api/drafts`: each key has its own; callers without a key share theirs."""

    def __init__(self, book: DraftBook) -> None:
        self._book = book

    @operation(gives=DraftsAnswer)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The caller's drafts."""
        resp.media = DraftsAnswer(self._book.of(req.context.caller.key_id or ""))

    @operation(takes=DraftIn, status=204, errors=(409, 507))
    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Keep a draft instead of the last one of that chat; 204."""
        body = decode(req, DraftIn)
        self._book.keep(req.context.caller.key_id or "", body.session_id, body.text)
        resp.status = falcon.HTTP_204
