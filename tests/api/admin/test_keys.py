"""API keys over HTTP: created, listed, used by the official client, and revoked."""

import json
import threading
import time
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.admin.key_clients import Person, new_key, socket_of
from tests.running import Running

LONG = {"prompt": "Once upon a time", "max_tokens": 4000, "temperature": 1.2, "stream": True}


# -- made and shown --------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_then_only_listed(admin: Person) -> None:
    made = new_key(admin, "shown once", scope="manage", rpm=7, expires_at=4102444800000)
    assert made["key"].startswith("apl_")
    listed = admin.get("/api/keys")
    assert made["key"] not in listed.text
    (shown,) = [key for key in listed.json()["keys"] if key["id"] == made["id"]]
    assert {name: shown[name] for name in ("name", "scope", "rpm", "expires_at", "source")} == {
        "name": "shown once",
        "scope": "manage",
        "rpm": 7,
        "expires_at": 4102444800000,
        "source": "vault",
    }
    assert shown["enabled"] is True and shown["last_used_at"] is None
    again = admin.post("/api/keys", {"name": "shown once"})
    assert (again.status_code, again.json()["error"]["param"]) == (409, "name")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "x", "scope": "root"}, "scope"),
        ({"name": "x", "rpm": 0}, "rpm"),
        ({"name": "x", "expires_at": 1}, "expires_at"),
        ({"name": "x", "key": "mine"}, "key"),
    ],
)
def test_a_wrong_key_says_which_field(admin: Person, body: dict[str, Any], param: str) -> None:
    response = admin.post("/api/keys", body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_me_says_what_a_caller_may_do(locked: Running, admin: Person) -> None:
    assert httpx.get(locked.url + "/api/me").json()["scope"] is None
    assert admin.get("/api/me").json() == {"name": "admin", "scope": "admin", "auth": True}
    chat = Person(locked, new_key(admin, "chatter")["key"])
    assert chat.get("/api/me").json() == {"name": "chatter", "scope": "chat", "auth": True}
    assert chat.get("/api/keys").status_code == 403
    assert chat.get("/v1/models").status_code == 200


def test_the_official_client_with_and_without_a_key(locked: Running, admin: Person) -> None:
    key = new_key(admin, "official")["key"]
    with openai.OpenAI(base_url=locked.url + "/v1", api_key=key) as api:
        response = api.completions.create(model="smollm2-135m-instruct", prompt="x", max_tokens=1)
        assert response.usage is not None
    with (
        openai.OpenAI(base_url=locked.url + "/v1", api_key="sk-wrong", max_retries=0) as api,
        pytest.raises(openai.AuthenticationError),
    ):
        api.models.list()


# -- the page --------------------------------------------------------------------------------------


def test_a_browser_logs_in_with_a_key_and_out(locked: Running, admin: Person) -> None:
    key = new_key(admin, "person", scope="manage")["key"]
    own = {"Origin": locked.url}
    with httpx.Client(base_url=locked.url, headers=own) as browser:
        wrong = browser.post("/api/login", json={"key": "apl_wrong"})
        assert wrong.status_code == 401 and not browser.cookies
        logged_in = browser.post("/api/login", json={"key": key})
        assert logged_in.json()["name"] == "person"
        set_cookie = logged_in.headers["Set-Cookie"]
        assert (
            "HttpOnly" in set_cookie and "SameSite=Strict" in set_cookie and "Path=/" in set_cookie
        )
        assert key not in set_cookie
        assert browser.get("/api/sessions").status_code == 200
        assert browser.get("/api/keys").status_code == 403
        assert browser.get("/api/sessions", headers={"Origin": "null"}).status_code == 403
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        with socket_of(locked, Cookie=cookie, Origin=locked.url) as ws:
            ws.send('{"type": "ping"}')
            assert json.loads(ws.recv(10)) == {"type": "pong"}
        assert browser.post("/api/logout").status_code == 204
        assert browser.get("/api/sessions", headers={"Cookie": cookie}).status_code == 401


def test_no_cookie_for_pages_of_others(locked: Running, admin: Person) -> None:
    key = new_key(admin, "elsewhere")["key"]
    for origin in ("https://evil.example", "null", locked.url.replace("127.0.0.1", "localhost")):
        response = httpx.post(
            locked.url + "/api/login", json={"key": key}, headers={"Origin": origin}
        )
        assert response.status_code == 403
        assert "Set-Cookie" not in response.headers


# -- WebSocket -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["bearer", "x-api-key", "query"])
def test_a_websocket_takes_a_key_in_every_way(locked: Running, admin: Person, way: str) -> None:
    key = new_key(admin, f"socket {way}")["key"]
    path = f"/chat/ws?token={key}" if way == "query" else "/chat/ws"
    headers = {"bearer": {"Authorization": f"Bearer {key}"}, "x-api-key": {"X-API-Key": key}}
    with socket_of(locked, path, **headers.get(way, {})) as ws:
        ws.send('{"type": "ping"}')
        assert json.loads(ws.recv(10)) == {"type": "pong"}


def test_a_websocket_without_a_good_key_is_never_opened(locked: Running) -> None:
    for path in ("/chat/ws", "/chat/ws?token=wrong"):
        with pytest.raises(InvalidStatus) as caught:
            socket_of(locked, path)
        assert caught.value.response.status_code == 401


# -- revoking --------------------------------------------------------------------------------------


CUT_SECONDS = 1.0
"""Seconds within which a revoked key's open connections are closed; a documented promise."""


class Listener:
    """A client that reads a stream until it ends."""

    def __init__(self, appliance: Running, key: str) -> None:
        self.began = threading.Event()
        self.ended = threading.Event()
        self.whole = False
        self._url = appliance.url + "/v1/completions"
        self._headers = {"X-API-Key": key}
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        try:
            with httpx.stream(
                "POST", self._url, json=LONG, headers=self._headers, timeout=60
            ) as response:
                for line in response.iter_lines():
                    self.began.set()
                    self.whole = self.whole or line == "data: [DONE]"
        except httpx.TransportError:
            pass
        self.ended.set()

    def join(self) -> None:
        self._thread.join(60)


@pytest.mark.parametrize("by", ["the API", "another process"])
def test_revoking_cuts_a_keys_streams_and_sockets_and_nobody_elses(
    locked: Running, admin: Person, by: str
) -> None:
    lost, kept = new_key(admin, f"lost, by {by}"), new_key(admin, f"kept, by {by}")
    keys = [made["key"] for made in (lost, kept)]
    listeners = [Listener(locked, key) for key in keys]
    with ExitStack() as stack:
        for listener in listeners:
            stack.callback(listener.join)
        stack.callback(admin.delete, f"/api/keys/{kept['id']}")
        sockets = [
            stack.enter_context(socket_of(locked, Authorization=f"Bearer {key}")) for key in keys
        ]
        assert all(listener.began.wait(60) for listener in listeners)
        if by == "the API":
            assert admin.delete(f"/api/keys/{lost['id']}").status_code == 204
        else:
            assert locked.command("keys", "revoke", lost["id"]).returncode == 0
        revoked = time.monotonic()
        assert listeners[0].ended.wait(30) and not listeners[0].whole
        with pytest.raises(ConnectionClosed):
            sockets[0].recv(30)
        assert time.monotonic() - revoked < CUT_SECONDS
        sockets[1].send('{"type": "ping"}')
        assert json.loads(sockets[1].recv(10)) == {"type": "pong"}
        assert not listeners[1].ended.is_set()
        assert Person(locked, lost["key"]).get("/v1/models").status_code == 401
        assert Person(locked, kept["key"]).get("/v1/models").status_code == 200


def test_revoking_logs_the_keys_browsers_out(locked: Running, admin: Person) -> None:
    made = new_key(admin, "browser")
    with httpx.Client(base_url=locked.url) as browser:
        browser.post("/api/login", json={"key": made["key"]})
        assert browser.get("/api/sessions").status_code == 200
        admin.delete(f"/api/keys/{made['id']}")
        assert browser.get("/api/sessions").status_code == 401
