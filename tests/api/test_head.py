"""HEAD is GET without a body, on every route that has a GET, and does nothing beside it."""

import re
from pathlib import Path

import httpx

from tests.api.guarded import REACHED, Guarded
from tests.running import Running


def test_every_get_has_a_head_with_the_same_rule(tmp_path: Path) -> None:
    guarded = Guarded(tmp_path, auth=False)
    methods: dict[str, dict[str, object]] = {}
    for method, path, rule in guarded.routes():
        methods.setdefault(path, {})[method] = rule
    readable = {path: rules for path, rules in methods.items() if "GET" in rules}
    assert len(readable) > 30
    for path, rules in readable.items():
        assert rules["HEAD"] == rules["GET"], path
        assert guarded.ask("HEAD", path).status_code == REACHED, path


def test_heads_are_those_of_get(running: Running) -> None:
    """Of every route that a plain GET can answer."""
    answered = 0
    with httpx.Client(base_url=running.url, timeout=60) as client:
        for path in paths(client):
            head = client.head(path)
            assert head.content == b"", path
            with client.stream("GET", path) as got:
                assert head.status_code == got.status_code, path
                if got.status_code < 400:
                    assert head.headers["content-type"] == got.headers["content-type"], path
                    answered += 1
    assert answered > 20


def test_head_starts_nothing(running: Running) -> None:
    """A login ticket is not used up, and a WebSocket not opened."""
    with httpx.Client(base_url=running.url, timeout=60) as client:
        page = client.head("/?token=whatever")
        assert (page.status_code, page.headers.get("set-cookie")) == (200, None)
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        assert client.head("/chat/ws", headers=handshake).status_code in (400, 426)


def paths(client: httpx.Client) -> list[str]:
    """Of the document; what has a name in it is asked for by one that is there, or nobody's."""
    session = client.post("/api/sessions", json={}).json()["id"]
    known = {"model": "smollm2-135m-instruct", "session_id": session}
    needs = {"/api/search": "?q=word"}
    found = []
    for template, methods in client.get("/openapi.json").json()["paths"].items():
        if "get" in methods and template != "/chat/ws":
            path = re.sub(r"\{(\w+)\}", lambda it: known.get(it[1], "no-such-thing"), template)
            found.append(path + needs.get(path, ""))
    return found
