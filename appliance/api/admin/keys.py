"""API keys: list, create, revoke."""

import falcon

from appliance.api.admin.schemas import CreatedKey, KeysAnswer, NewKeyIn
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
        """All keys, without their secrets."""
        resp.media = KeysAnswer(self._keys.listed())

    @operation(takes=NewKeyIn, gives=CreatedKey, status=201, errors=(409,))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a key; 201. Only this answer has its secret, as `key`."""
        body = decode(req, NewKeyIn)
        created = self._keys.create(body.name, body.scope, rpm=body.rpm, expires_at=body.expires_at)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/keys/{created.key.id}"
        resp.cache_control = ["no-store"]
        key = created.key
        resp.media = CreatedKey(
            key.id, key.name, key.scope, key.rpm, key.created_at, key.expires_at, created.secret
        )


class OneKey:
    """`/api/keys/{key_id}`"""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    @operation(status=204, errors=(409,))
    def on_delete(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Revoke a key, and cut its running requests; 204."""
        self._keys.revoke(key_id)
        resp.status = falcon.HTTP_204
