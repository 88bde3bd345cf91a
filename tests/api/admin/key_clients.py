"""Clients of an appliance that requires keys."""

from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.running import Running

SHORT = {"prompt": "Bread is", "max_tokens": 1}


class Person:
    """A client with a key; opens a new connection for every request."""

    def __init__(self, appliance: Running, key: str) -> None:
        self._url = appliance.url
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self._url + path, headers=self._headers, timeout=60)

    def post(self, path: str, body: object) -> httpx.Response:
        return httpx.post(self._url + path, headers=self._headers, json=body, timeout=60)

    def delete(self, path: str) -> httpx.Response:
        return httpx.delete(self._url + path, headers=self._headers, timeout=60)


def new_key(admin: Person, name: str, **fields: Any) -> dict[str, Any]:
    response = admin.post("/api/keys", {"name": name, **fields})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def socket_of(appliance: Running, path: str = "/chat/ws", **headers: str) -> ClientConnection:
    address = path if "://" in path else appliance.url.replace("http://", "ws://") + path
    opened: ClientConnection = connect(
        address,
        subprotocols=[Subprotocol("appliance.v1")],
        additional_headers=headers,
        proxy=None,
    )
    return opened
