"""Stored chats over HTTP: helpers that create, write and read them."""

import time
from typing import Any

import httpx

from tests.api.sse import events
from tests.running import Running

LONG = {"content": "Tell me a very long story.", "max_tokens": 400, "ignore_eos": True}
"""A turn whose reply takes some seconds."""


def new_session(running: Running, **fields: Any) -> str:
    """Creates a session; returns its address."""
    response = httpx.post(running.url + "/api/sessions", json=fields)
    assert response.status_code == 201, response.text
    assert response.headers["Location"].endswith(response.json()["id"])
    return f"{running.url}/api/sessions/{response.json()['id']}"


def stream(address: str, **body: Any) -> list[tuple[str, Any]]:
    """Every event of the reply that a POST starts."""
    with httpx.stream("POST", address, json=body, timeout=60) as response:
        assert response.status_code == 200, response.read()
        return list(events(response))


def turn(session: str, content: str, **settings: Any) -> list[tuple[str, Any]]:
    """A short turn."""
    body = {"content": content, "max_tokens": 12, "temperature": 0, **settings}
    return stream(session + "/turns", **body)


def messages(session: str) -> list[dict[str, Any]]:
    """All messages of the session's tree."""
    found: list[dict[str, Any]] = httpx.get(session + "/messages").json()["messages"]
    return found


def settled(session: str) -> dict[str, Any]:
    """The newest message, once its reply has ended."""
    deadline = time.monotonic() + 60
    while (last := messages(session)[-1])["status"] == "streaming":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return last
