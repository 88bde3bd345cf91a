"""What other servers' tests ask of a server as a whole."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.clients.peers.rows import FAKE, REAL, events_of

CHAT = "/v1/chat/completions"
HELLO: Any = {"model": FAKE, "messages": [{"role": "user", "content": "echo:Hello"}]}


@pytest.mark.parametrize("path", ["/health", "/readiness", "/v1/models", "/api/tags", "/api/ps"])
def test_whether_it_is_there(real: httpx.Client, path: str) -> None:
    """vLLM, SGLang, Ollama: a server that is ready answers."""
    assert real.get(path).status_code == 200


def test_the_version(real: httpx.Client) -> None:
    """Ollama: three numbers."""
    assert [part.isdigit() for part in real.get("/api/version").json()["version"].split(".")[:2]]


def test_models_by_name(real: httpx.Client) -> None:
    """SGLang, vLLM: the list has a model, which can be looked at."""
    listed = real.get("/v1/models").json()["data"]
    assert isinstance(listed[0]["context_length"], int)
    assert real.get(f"/v1/models/{REAL}").json()["id"] == REAL
    assert real.get("/v1/models/non-existent-model").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("PUT", "/v1/completions", 405),
        ("DELETE", "/v1/embeddings", 405),
        ("GET", "/api/chat", 405),
        ("GET", "/v1/nothing", 404),
        ("POST", "/nothing", 404),
        ("GET", "/v1/messages", 405),
    ],
)
def test_where_nothing_is(real: httpx.Client, method: str, path: str, status: int) -> None:
    """vLLM, Ollama: what isn't there is no failure, and the answer is JSON."""
    response = real.request(method, path, json={} if method != "GET" else None)
    assert response.status_code == status
    assert response.json()["error"]


@pytest.mark.parametrize(
    "path",
    [CHAT, "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/responses"],
)
def test_a_form(real: httpx.Client, path: str) -> None:
    """vLLM, SGLang: a form's content type is refused, before anything is read of it."""
    response = real.post(path, data={"model": REAL})
    assert response.status_code == 415
    assert response.json()["error"]["message"]


def test_a_huge_body(real: httpx.Client) -> None:
    """Ollama, vLLM: what is larger than a request may be is refused."""
    response = real.post(
        CHAT, content=b'{"a": "' + b"x" * 9_000_000, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 413
    assert response.json()["error"]["message"]


def test_a_stream_has_the_headers_of_one(fake: httpx.Client) -> None:
    """Ollama: events, that nothing in between keeps for itself; `[DONE]` comes last, once."""
    response = fake.post(CHAT, json={**HELLO, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"].startswith("no-")
    blocks = [block for block in response.text.split("\n\n") if block]
    assert blocks[-1] == "data: [DONE]"
    assert response.text.count("[DONE]") == 1
    found = events_of(response.text)
    assert len({(one["id"], one["created"], one["model"]) for one in found}) == 1


def test_it_still_answers_after_all_that(real: httpx.Client) -> None:
    """vLLM: refusals leave nothing behind."""
    for body in (b"\xff\xfe", b"[" * 5000, b'{"a":' * 5000, b"{" * 100_000):
        response = real.post(CHAT, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 400, body[:10]
    good = {"messages": HELLO["messages"], "max_tokens": 1}
    assert real.post(CHAT, json=good).json()["usage"]["completion_tokens"] == 1


def test_many_at_once(fake: httpx.Client) -> None:
    """vLLM, SGLang: each of many streams at once gets its own text."""

    def ask(number: int) -> str:
        messages = [{"role": "user", "content": f"echo:number {number}"}]
        answer = fake.post(CHAT, json={"model": FAKE, "messages": messages}).json()
        return str(answer["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == [f"number {n}" for n in range(40)]
