"""Agreeing to chats that expire."""

from typing import Annotated

import falcon
from msgspec import Meta

from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode
from appliance.errors import Conflict
from appliance.store.upkeep.expiry import Expiry

operation = Operations("Appliance")


class ConfirmExpiry(Body, kw_only=True, frozen=True):
    """`POST /api/expiry`."""

    ttl_seconds: Annotated[float, Meta(gt=0)]
    """The time that the person was shown: `limits.session_ttl_seconds`."""


class ExpiryResource:
    """`/api/expiry`"""

    def __init__(self, expiry: Expiry) -> None:
        self._expiry = expiry

    @operation(takes=ConfirmExpiry, status=204, errors=(409, 507))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Agree that chats without activity for that long are deleted; before, none is."""
        wanted = decode(req, ConfirmExpiry).ttl_seconds
        status = self._expiry.status()
        if status is None or status.ttl_seconds != wanted:
            says = f"{status.ttl_seconds:g}" if status else "0: chats never expire"
            raise Conflict(f"limits.session_ttl_seconds is {says}", param="ttl_seconds")
        self._expiry.confirm()
        resp.status = falcon.HTTP_204
