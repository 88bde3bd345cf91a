"""Keys where they are asked for: made, shown, used by the official client, limited and revoked."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.running import Running

LONG = {"prompt": "Once upon a time", "max_tokens": 4000, "temperature": 1.2, "stream": True}
SHORT = {"prompt": "Bread is", "max_tokens": 1}


class Person:
    """Somebody with a key, on a connection of its own for every request."""

    def __init__(self, appliance: Running, key: str) -> None:
        self._url = appliance.url
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self._url + path, headers=self._headers, timeout=60)

    def post(self, path: str, body: object) -> httpx.Response:
        return httpx.post(self._url + path, headers=self._headers, json=body, timeout=60)

    def delete(self, path: str) -> httpx.Response:
        return httpx.delete(self._url + path, headers=self._headers, timeout=60)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance that asks everybody for a key."""
    appliance = Running(
        tmp_path_factory.mktemp("locked"),
        ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        APPLIANCE_SECURITY_TRUSTED_PROXIES="127.0.0.1",
        APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="4000",
    ).start()
    yield appliance
    assert appliance.stop() == 0


@pytest.fixture(scope="module")
def admin(locked: Running) -> Person:
    """Somebody who may do everything."""
    return Person(locked, locked.make_key("admin", "--scope", "admin"))


def new_key(admin: Person, name: str, **fields: Any) -> dict[str, Any]:
    answer = admin.post("/api/keys", {"name": name, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def socket_of(appliance: Running, path: str = "/chat/ws", **headers: str) -> ClientConnection:
    address = appliance.url.replace("http://", "ws://") + path
    opened: ClientConnection = connect(
        address,
        subprotocols=[Subprotocol("appliance.v1")],
        additional_headers=headers,
        proxy=None,
    )
    return opened


# -- made and shown --------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_then_only_told_of(admin: Person) -> None:
    made = new_key(admin, "shown once", scope="manage", rpm=7, expires_at=4102444800000)
    assert made["key"].startswith("apl_")
    listed = admin.get("/api/keys")
    assert made["key"] not in listed.text
    (told,) = [key for key in listed.json()["keys"] if key["id"] == made["id"]]
    assert {name: told[name] for name in ("name", "scope", "rpm", "expires_at", "source")} == {
        "name": "shown once",
        "scope": "manage",
        "rpm": 7,
        "expires_at": 4102444800000,
        "source": "vault",
    }
    assert told["enabled"] is True and told["last_used_at"] is None
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
    answer = admin.post("/api/keys", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


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
        answer = api.completions.create(model="smollm2-135m-instruct", prompt="x", max_tokens=1)
        assert answer.usage is not None
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
        told = logged_in.headers["Set-Cookie"]
        assert "HttpOnly" in told and "SameSite=Strict" in told and "Path=/" in told
        assert key not in told
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
        answer = httpx.post(
            locked.url + "/api/login", json={"key": key}, headers={"Origin": origin}
        )
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


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
"""In which whatever a revoked key has open is cut; this is promised."""


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
            ) as answer:
                for line in answer.iter_lines():
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


# -- rates -----------------------------------------------------------------------------------------


def test_a_limited_response_says_how_it_stands(locked: Running, admin: Person) -> None:
    limited = Person(locked, new_key(admin, "limited", rpm=2)["key"])
    told = []
    for _ in range(2):
        answer = limited.post("/v1/completions", SHORT)
        assert answer.status_code == 200
        told.append(tuple(answer.headers[f"X-RateLimit-{it}"] for it in ("Limit", "Remaining")))
        # A time of the clock, as the original service's clients know it.
        assert 0 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 61
    assert told == [("2", "1"), ("2", "0")]
    refused = limited.post("/v1/completions", SHORT)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    # What asks no model is not counted, and other keys have their own count.
    assert limited.get("/v1/models").status_code == 200
    assert admin.post("/v1/completions", SHORT).status_code == 200
    assert "X-RateLimit-Limit" not in admin.get("/v1/models").headers


SAY = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/completions", {"prompt": "x", "nonsense": 1}, 400),
        ("/v1/completions", {**SHORT, "model": "nobody"}, 404),
        ("/v1/chat/completions", SAY, 200),
        ("/v1/chat/completions", {**SAY, "stream": True}, 200),
        ("/chat/completions", {"prompt": "Hi", "max_token": 1}, 200),
        ("/chat/completions", {"prompt": "Hi", "max_token": 0}, 400),
        ("/chat/completions", {"prompt": "Hi", "session_id": "limited", "max_token": 1}, 200),
        ("/completions", {"prompt": "Hi", "max-token": 1}, 200),
        ("/embeddings", {"input": "Hi"}, 200),
        ("/api/sessions/nobody/turns", {"content": "Hi"}, 404),
        ("/v1/completions", None, 415),
    ],
)
def test_whatever_becomes_of_a_limited_request_it_says_how_it_stands(
    locked: Running, admin: Person, path: str, body: Any, status: int
) -> None:
    key = new_key(admin, uuid.uuid4().hex, rpm=1)["key"]
    headers = {"X-API-Key": key}

    def ask() -> httpx.Response:
        if body is None:
            return httpx.post(locked.url + path, content=b"x", headers=headers)
        return httpx.post(locked.url + path, json=body, headers=headers, timeout=60)

    first = ask()
    assert first.status_code == status
    counted = status != 415  # which is seen before anything is counted
    if counted:
        assert first.headers["X-RateLimit-Limit"] == "1"
        assert first.headers["X-RateLimit-Remaining"] == "0"
        second = ask()
        assert second.status_code == 429
        assert second.headers["X-RateLimit-Remaining"] == "0"
        assert 1 <= int(second.headers["Retry-After"]) <= 60
        assert second.json()["error"]["code"] == "rate_limit_exceeded"
    else:
        assert "X-RateLimit-Limit" not in first.headers


def test_sixteen_threads_get_exactly_what_is_allowed(locked: Running, admin: Person) -> None:
    key = new_key(admin, "threads", rpm=50)["key"]
    # Refused after it was counted, so that no model has to work.
    wrong = {"prompt": "x", "nonsense": 1}

    def ask(_: int) -> list[int]:
        mine = Person(locked, key)
        return [mine.post("/v1/completions", wrong).status_code for _ in range(10)]

    with ThreadPoolExecutor(16) as pool:
        counts = Counter(status for statuses in pool.map(ask, range(16)) for status in statuses)
    assert counts == {400: 50, 429: 110}


def test_requests_over_a_websocket_count(locked: Running, admin: Person) -> None:
    key = new_key(admin, "socket", rpm=1)["key"]
    with socket_of(locked, Authorization=f"Bearer {key}") as ws:
        for wanted in ("session_not_found", "rate_limit_exceeded"):
            ws.send('{"type": "turn", "session_id": "none", "content": "x"}')
            answer = json.loads(ws.recv(10))
            assert (answer["type"], answer["error"]["code"]) == ("error", wanted)
    assert Person(locked, key).post("/v1/completions", SHORT).status_code == 429


def test_addresses_are_counted_where_there_is_no_key_and_proxies_name_them(
    tmp_path: Path,
) -> None:
    appliance = Running(
        tmp_path,
        APPLIANCE_LIMITS_DEFAULT_RATE_LIMIT_PER_MINUTE="2",
    ).start(ready=False)
    wrong = {"prompt": "x", "nonsense": 1}
    try:
        address = appliance.url + "/v1/completions"
        statuses = [httpx.post(address, json=wrong).status_code for _ in range(3)]
        assert statuses == [400, 400, 429]
        # Nobody named a proxy: whatever claims to be one is no program of this machine.
        forwarded = {"X-Forwarded-For": "203.0.113.5"}
        assert httpx.post(address, json=wrong, headers=forwarded).status_code == 401
    finally:
        assert appliance.stop() == 0


def test_a_proxys_clients_are_told_apart(locked: Running, admin: Person) -> None:
    good = new_key(admin, "behind a proxy")["key"]
    wrong = {"X-API-Key": "wrong", "X-Forwarded-For": "8.8.8.8, 203.0.113.7"}
    statuses = [httpx.get(locked.url + "/v1/models", headers=wrong).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    for address, wanted in (("203.0.113.7", 429), ("1.1.1.1, 203.0.113.7", 429), ("8.8.8.8", 200)):
        headers = {"X-API-Key": good, "X-Forwarded-For": address}
        assert httpx.get(locked.url + "/v1/models", headers=headers).status_code == wanted
