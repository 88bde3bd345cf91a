"""Bad input gets a 4xx that names the field; never a 500, never a traceback."""

import json
from typing import Any

import httpx
import pytest

from tests.running import Running

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


def refused(response: httpx.Response) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in response.text
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": HELLO, "max_tokens": 0}, "max_tokens"),
        ({"messages": HELLO, "max_tokens": 10**30}, "max_tokens"),
        ({"messages": HELLO, "max_tokens": "5"}, "max_tokens"),
        ({"messages": HELLO, "max_tokens": True}, "max_tokens"),
        ({"messages": HELLO, "temperature": -1}, "temperature"),
        ({"messages": HELLO, "temperature": 2.1}, "temperature"),
        ({"messages": HELLO, "top_p": 2}, "top_p"),
        ({"messages": HELLO, "top_k": -2}, "top_k"),
        ({"messages": HELLO, "repeat_penalty": 0}, "repeat_penalty"),
        ({"messages": HELLO, "seed": -(2**63) - 1}, "seed"),
        ({"messages": HELLO, "seed": 2**63}, "seed"),
        ({"messages": HELLO, "stop": [""]}, "stop"),
        ({"messages": HELLO, "stop": ["x"] * 17}, "stop"),
        ({"messages": HELLO, "n": 0}, "n"),
        ({"messages": HELLO, "stream": "yes"}, "stream"),
        ({"messages": HELLO, "stream_options": {"include_usage": "x"}}, "stream_options"),
        ({"messages": HELLO, "mirostat": 3}, "mirostat"),
        ({"messages": HELLO, "xtc_probability": 2}, "xtc_probability"),
        ({"messages": HELLO, "dry_sequence_breakers": ["a\x00b"]}, "dry_sequence_breakers"),
        ({"messages": HELLO, "samplers": ["top_k", "best"]}, "samplers[1]"),
        ({"messages": HELLO, "samplers": "kz"}, "samplers"),
        ({"messages": HELLO, "model": "nobody"}, "model"),
        ({"messages": HELLO, "model": 5}, "model"),
    ],
)
def test_a_chat_request_that_is_wrong_names_the_field(
    running: Running, body: dict[str, Any], param: str
) -> None:
    response = httpx.post(running.url + CHAT, json=body)
    assert response.status_code == (404 if body.get("model") == "nobody" else 400)
    named = refused(response)["param"]
    assert named is not None
    assert named.startswith(param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"messages": NaN}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": ' + b"[" * 100_000,
        b'{"messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 6000 + b"}",
        b'{"messages": [{"role": "user", "content": "x"}], "temperature": 1e999}',
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/api/sessions"])
def test_bodies_that_are_no_request(running: Running, path: str, body: bytes) -> None:
    if path == "/api/sessions" and not body:
        body = b"{"
    response = httpx.post(
        running.url + path, content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    refused(response)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_json_that_does_not_say_so_is_refused(running: Running, kind: str) -> None:
    body = json.dumps({"messages": HELLO}).encode()
    response = httpx.post(running.url + CHAT, content=body, headers={"Content-Type": kind})
    assert response.status_code == 415
    assert "application/json" in refused(response)["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [10**7]}, "prompt"),
        ({"prompt": ["x"] * 65}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({}, "prompt"),
    ],
)
def test_a_completion_request_that_is_wrong_names_the_field(
    running: Running, body: dict[str, Any], param: str
) -> None:
    response = httpx.post(running.url + "/v1/completions", json={"max_tokens": 1, **body})
    assert response.status_code == 400
    assert refused(response)["param"].startswith(param)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/assets/../../secret", 404, "not_found"),
        ("GET", "/assets/nothing.js", 404, "not_found"),
        ("PUT", "/v1/models", 405, "method_not_allowed"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("GET", "/api/sessions/nobody", 404, "session_not_found"),
        ("GET", "/api/sessions/nobody/messages", 404, "session_not_found"),
        ("GET", "/api/sessions/nobody/live", 404, "session_not_found"),
        ("POST", "/api/sessions/nobody/stop", 404, "session_not_found"),
        ("DELETE", "/api/sessions/nobody", 404, "session_not_found"),
    ],
)
def test_what_is_not_there(
    running: Running, method: str, path: str, status: int, code: str
) -> None:
    response = httpx.request(method, running.url + path)
    assert response.status_code == status
    assert refused(response)["code"] == code


MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("size", "status"), [(8 * MEBIBYTE, 400), (8 * MEBIBYTE + 1, 413), (9 * MEBIBYTE, 413)]
)
def test_a_body_of_more_than_eight_mebibytes_is_refused(
    running: Running, size: int, status: int
) -> None:
    response = httpx.post(
        running.url + CHAT,
        content=b" " * size,
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    assert response.status_code == status
    refused(response)


@pytest.mark.parametrize(("kibibytes", "status"), [(31, 200), (33, 431)])
def test_headers_of_more_than_32_kibibytes_are_refused(
    running: Running, kibibytes: int, status: int
) -> None:
    headers = {f"X-{number}": "x" * 1017 for number in range(10, 10 + kibibytes)}
    response = httpx.get(running.url + "/health", headers=headers)
    assert response.status_code == status
    if status != 200:
        refused(response)


def test_a_prompt_of_too_many_characters_is_refused(running: Running) -> None:
    messages = [{"role": "user", "content": "x" * 200_001}]
    response = httpx.post(running.url + CHAT, json={"messages": messages})
    assert response.status_code == 400
    assert refused(response)["param"] == "messages"
    assert "200000" in refused(response)["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "content"),
        ({"content": ""}, "content"),
        ({"content": " \n"}, "content"),
        ({"content": "x" * 200_001}, "content"),
        ({"content": "x", "parent_id": "nobody"}, "parent_id"),
        ({"content": "x", "model": "nobody"}, "model"),
        ({"content": "x", "temperature": 9}, "temperature"),
        ({"content": "x", "colour": "blue"}, "colour"),
    ],
)
def test_a_turn_that_is_wrong_stores_nothing(
    running: Running, body: dict[str, Any], param: str
) -> None:
    session = httpx.post(running.url + "/api/sessions").json()["id"]
    url = f"{running.url}/api/sessions/{session}"
    response = httpx.post(url + "/turns", json=body)
    assert response.status_code in (400, 404)
    assert refused(response)["param"] == param
    assert httpx.get(url + "/messages").json() == {"messages": []}
    httpx.delete(url)


def test_a_title_must_be_one(running: Running) -> None:
    session = httpx.post(running.url + "/api/sessions").json()["id"]
    url = f"{running.url}/api/sessions/{session}"
    for title in ("", "x" * 201, 7):
        response = httpx.patch(url, json={"title": title})
        assert response.status_code == 400
        assert refused(response)["param"] == "title"
    httpx.delete(url)
