"""Rate limits: exact, reported with every response, and counted by key or by address."""

import json
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.api.admin.key_clients import SHORT, Person, new_key, socket_of
from tests.running import WITHOUT_MODEL, Running


def test_a_limited_response_says_how_it_stands(locked: Running, admin: Person) -> None:
    limited = Person(locked, new_key(admin, "limited", rpm=2)["key"])
    limits = []
    for _ in range(2):
        response = limited.post("/v1/completions", SHORT)
        assert response.status_code == 200
        limits.append(tuple(response.headers[f"X-RateLimit-{it}"] for it in ("Limit", "Remaining")))
        # Clock time, as the original service's clients expect it.
        assert 0 < int(response.headers["X-RateLimit-Reset"]) - time.time() <= 61
    assert limits == [("2", "1"), ("2", "0")]
    refused = limited.post("/v1/completions", SHORT)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    # Requests that use no model are not counted, and every key has its own count.
    assert limited.get("/v1/models").status_code == 200
    assert admin.post("/v1/completions", SHORT).status_code == 200
    assert "X-RateLimit-Limit" not in admin.get("/v1/models").headers


CHAT_REQUEST = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/completions", {"prompt": "x", "stop": 1}, 400),
        ("/v1/completions", {**SHORT, "model": "nobody"}, 404),
        ("/v1/chat/completions", CHAT_REQUEST, 200),
        ("/v1/chat/completions", {**CHAT_REQUEST, "stream": True}, 200),
        ("/chat/completions", {"prompt": "Hi", "max_token": 1}, 200),
        ("/chat/completions", {"prompt": 1}, 400),
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
        error = second.json()["error"]
        theirs = path in ("/chat/completions", "/completions")
        assert (error if theirs else error["code"]) == (
            "rate limit exceeded" if theirs else "rate_limit_exceeded"
        )
    else:
        assert "X-RateLimit-Limit" not in first.headers


def test_sixteen_threads_get_exactly_what_is_allowed(locked: Running, admin: Person) -> None:
    key = new_key(admin, "threads", rpm=50)["key"]
    # Refused after it was counted, so that no model has to work.
    wrong = {"prompt": "x", "stop": 1}

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
            response = json.loads(ws.recv(10))
            assert (response["type"], response["error"]["code"]) == ("error", wanted)
    assert Person(locked, key).post("/v1/completions", SHORT).status_code == 429


def test_an_original_clients_requests_over_a_websocket_count(
    locked: Running, admin: Person
) -> None:
    key = new_key(admin, "plain socket", rpm=1)["key"]
    address = locked.url.replace("http://", "ws://") + f"/chat/ws?token={key}"
    received = []
    for _ in range(2):
        with connect(address, proxy=None) as ws:
            ws.send(json.dumps({"prompt": "Hi", "max_token": 1}))
            received.append("".join(str(frame) for frame in ws))
            assert ws.close_code == 1000
    assert not received[0].startswith("__ERROR__:")
    assert received[1].startswith("__ERROR__:1 requests a minute")


def test_addresses_are_counted_where_there_is_no_key_and_proxies_name_them(
    tmp_path: Path,
) -> None:
    appliance = Running(
        tmp_path,
        command=WITHOUT_MODEL,
        APPLIANCE_LIMITS_DEFAULT_RATE_LIMIT_PER_MINUTE="2",
    ).start(ready=False)
    wrong = {"prompt": "x", "stop": 1}
    try:
        address = appliance.url + "/v1/completions"
        statuses = [httpx.post(address, json=wrong).status_code for _ in range(3)]
        assert statuses == [400, 400, 429]
        # No proxy is configured: a client that claims to be one is not treated as local.
        forwarded = {"X-Forwarded-For": "203.0.113.5"}
        assert httpx.post(address, json=wrong, headers=forwarded).status_code == 401
    finally:
        assert appliance.stop() == 0


def test_a_proxys_clients_are_distinguished(locked: Running, admin: Person) -> None:
    good = new_key(admin, "behind a proxy")["key"]
    wrong = {"X-API-Key": "wrong", "X-Forwarded-For": "8.8.8.8, 203.0.113.7"}
    statuses = [httpx.get(locked.url + "/v1/models", headers=wrong).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    addresses = (("203.0.113.7", 429), ("1.1.1.1, 203.0.113.7", 429), ("8.8.8.8", 401))
    for address, wanted in addresses:
        for key, status in (("wrong", wanted), (good, 200)):
            headers = {"X-API-Key": key, "X-Forwarded-For": address}
            assert httpx.get(locked.url + "/v1/models", headers=headers).status_code == status
