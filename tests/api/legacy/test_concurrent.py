"""Clients of the original service while a reply is being written, and two requests at once."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from websockets.sync.client import connect

from tests.running import Running

STORY = {"prompt": "Tell me a very long story.", "max_token": 400, "ignore_eos": True}
SHORT = {"prompt": "Again.", "max_token": 3, "ignore_eos": True}


@pytest.fixture
def id() -> str:
    """A session id, as clients create them."""
    return str(uuid.uuid4())


def ask(running: Running, **body: Any) -> httpx.Response:
    return httpx.post(running.url + "/chat/completions", json=body, timeout=60)


def history(running: Running, id: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = httpx.get(f"{running.url}/chat/history/{id}").json()
    return found


class Reply:
    """A long reply that is being written; `pieces` has all of it when it has ended."""

    def __init__(self, running: Running, id: str) -> None:
        self.begun = threading.Event()
        self.pieces: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(running, id))

    def _read(self, running: Running, id: str) -> None:
        url = running.url + "/chat/completions"
        body = {**STORY, "session_id": id}
        with httpx.stream("POST", url, json=body, timeout=60) as response:
            for line in response.iter_lines():
                if line:
                    self.pieces.append(line.removeprefix("data: "))
                    self.begun.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self.begun.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("amount", [1, 2])
def test_a_rollback_ends_the_reply_under_way_and_counts_it(
    running: Running, id: str, amount: int
) -> None:
    with Reply(running, id) as reply:
        left = httpx.post(f"{running.url}/chat/history/{id}/rollback", json={"amount": amount})
        assert left.status_code == 200
        # The reply has ended by then: the next prompt is accepted at once.
        again = ask(running, session_id=id, **SHORT)
    assert len(reply.pieces) < 390
    assert left.json() == {"status": "ok"}
    assert again.status_code == 200
    assert "__ERROR__" not in again.text
    roles = [message["role"] for message in history(running, id)]
    assert roles == [*["user"] * (amount == 1), "user", "assistant"]


@pytest.mark.parametrize("over", ["HTTP", "WebSocket"])
def test_a_deleted_chats_reply_ends_and_its_id_is_free_at_once(
    running: Running, id: str, over: str
) -> None:
    received: list[Any] = []
    if over == "HTTP":
        with Reply(running, id) as reply:
            assert httpx.delete(f"{running.url}/chat/history/{id}").status_code == 204
            again = ask(running, session_id=id, **SHORT)
        received += reply.pieces
    else:
        address = running.url.replace("http://", "ws://") + f"/chat/ws?session_id={id}"
        with connect(address, proxy=None) as ws:
            ws.send(httpx.Request("POST", "/", json=STORY).content.decode())
            received.append(ws.recv(60))
            assert httpx.delete(f"{running.url}/chat/history/{id}").status_code == 204
            again = ask(running, session_id=id, **SHORT)
            received += ws  # until it is closed, which must be a clean close
            assert ws.close_code == 1000
    assert len(received) < 390
    # The reply just ends: the page may show another chat by now, where an error would land.
    assert "__ERROR__" not in "".join(received) + again.text
    first, *rest = history(running, id)
    assert first["content"] == SHORT["prompt"]
    assert len(rest) == 1


def test_a_new_prompt_stops_the_reply_before_it_which_keeps_what_it_has(
    running: Running, id: str
) -> None:
    with Reply(running, id) as reply:
        other = ask(running, session_id=id, **SHORT)
    assert other.status_code == 200
    assert "__ERROR__" not in other.text + "".join(reply.pieces)
    assert len(reply.pieces) < 390
    asked, first, again, second = history(running, id)
    assert (asked["content"], again["content"]) == (STORY["prompt"], SHORT["prompt"])
    assert first["content"]
    assert second["role"] == "assistant"


def test_a_chat_that_two_begin_at_once_has_one_system_message(running: Running) -> None:
    for _ in range(5):
        id = str(uuid.uuid4())
        body = {**SHORT, "session_id": id, "system_prompt": "Be brief."}
        with ThreadPoolExecutor(4) as pool:
            responses = list(pool.map(lambda body: ask(running, **body), [body] * 4))
        assert {response.status_code for response in responses} == {200}
        roles = [message["role"] for message in history(running, id)]
        assert roles[0] == "system"
        assert roles.count("system") == 1
        # Each stopped the one before, which may not have had a token.
        assert roles.count("user") == 4
        assert roles[-2:] == ["user", "assistant"]


@pytest.mark.parametrize(
    "wrong",
    [{"model_name": "nobody"}, {"prompt": 7}, {"prompt": "x" * 200_001}, {"top_p": "much"}],
)
def test_a_refused_prompt_leaves_no_session(
    running: Running, id: str, wrong: dict[str, Any]
) -> None:
    for path in ("/chat/completions", "/completions"):
        body = {**SHORT, "session_id": id, "system_prompt": "Be brief.", **wrong}
        response = httpx.post(running.url + path, json=body, timeout=60)
        assert response.status_code in (400, 404)
        assert isinstance(response.json()["error"], str)
        assert id not in httpx.get(running.url + "/sessions").json()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Running]:
    """An appliance that keeps one chat."""
    appliance = Running(tmp_path, APPLIANCE_LIMITS_MAX_SESSIONS="1").start()
    yield appliance
    assert appliance.stop() == 0


def test_one_chat_too_many_is_refused_as_such_and_the_others_go_on(full: Running, id: str) -> None:
    assert ask(full, session_id=id, **SHORT).status_code == 200
    refused = ask(full, session_id="another", **SHORT)
    assert refused.status_code == 409
    assert "limits.max_sessions" in refused.text
    again = ask(full, session_id=id, **SHORT)
    assert again.status_code == 200
    assert [message["role"] for message in history(full, id)] == ["user", "assistant"] * 2
