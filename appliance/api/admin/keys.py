"""API keys, for whoever may make them."""

from typing import Annotated

import falcon
import msgspec
from msgspec import Meta

from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode
from appliance.api.wire.responses import KeysAnswer, MadeKey
from appliance.auth.keys.registry import Keys
from appliance.config.schema import Scope

operation = Operations("Keys")


class NewKeyIn(Body, kw_only=True, frozen=True):
    """A key to be made."""

    name: str
    scope: Scope = "chat"
    rpm: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    """Requests a minute."""
    expires_at: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Unix milliseconds."""


class KeyList:
    """`/api/keys`"""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    @operation(gives=KeysAnswer)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All keys, without what nobody can see again."""
        resp.data = msgspec.json.encode(KeysAnswer(self._keys.listed()))
        resp.content_type = falcon.MEDIA_JSON

    @operation(takes=NewKeyIn, gives=MadeKey, status=201, errors=(409,))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A new key; 201. This answer alone has its secret, as `key`."""
        body = decode(req, NewKeyIn)
        made = self._keys.create(body.name, body.scope, rpm=body.rpm, expires_at=body.expires_at)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/keys/{made.key.id}"
        resp.cache_control = ["no-store"]
        key = made.key
        resp.data = msgspec.json.encode(
            MadeKey(
                key.id, key.name, key.scope, key.rpm, key.created_at, key.expires_at, made.secret
            )
        )
        resp.content_type = falcon.MEDIA_JSON


class OneKey:
    """`/api/keys/{key_id}`"""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    @operation(status=204, errors=(409,))
    def on_delete(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Revoked: what it has under way is cut; 204."""
        self._keys.revoke(key_id)
        resp.status = falcon.HTTP_204
