"""API keys, for whoever may make them."""

import falcon

from appliance.api.admin.schemas import KeysAnswer, MadeKey, NewKeyIn
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode
from appliance.auth.keys.registry import Keys

operation = Operations("Keys")


class KeyList:
    """`/api/keys`"""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    @operation(gives=KeysAnswer)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All keys, without what nobody can see again."""
        resp.media = KeysAnswer(self._keys.listed())

    @operation(takes=NewKeyIn, gives=MadeKey, status=201, errors=(409,))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A new key; 201. This answer alone has its secret, as `key`."""
        body = decode(req, NewKeyIn)
        made = self._keys.create(body.name, body.scope, rpm=body.rpm, expires_at=body.expires_at)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/keys/{made.key.id}"
        resp.cache_control = ["no-store"]
        key = made.key
        resp.media = MadeKey(
            key.id, key.name, key.scope, key.rpm, key.created_at, key.expires_at, made.secret
        )


class OneKey:
    """`/api/keys/{key_id}`"""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    @operation(status=204, errors=(409,))
    def on_delete(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Revoked: what it has under way is cut; 204."""
        self._keys.revoke(key_id)
        resp.status = falcon.HTTP_204
