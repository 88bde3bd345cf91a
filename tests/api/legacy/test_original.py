"""Clients of the original service work unchanged: their bodies, their streams, their sessions."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.running import Running
from tests.waiting import wait_until

MODEL = "smollm2-135m-instruct"


@pytest.fixture
def id() -> str:
    """A session id, as clients create them."""
    return str(uuid.uuid4())


def plain(response: httpx.Response) -> list[str]:
    """The data of each event, as `EventSource` gives it."""
    events = response.text.split("\n\n")
    assert events.pop() == ""
    return [
        "\n".join(line.removeprefix("data:").removeprefix(" ") for line in event.split("\n"))
        for event in events
    ]


def chat(running: Running, body: dict[str, Any], path: str = "/chat/completions") -> list[str]:
    response = httpx.post(running.url + path, json=body, timeout=60)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return plain(response)


def history(running: Running, id: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = httpx.get(f"{running.url}/chat/history/{id}").json()
    return found


def session_of(running: Running, client_id: str) -> str:
    """The id of the session that a client calls so."""
    sessions = httpx.get(running.url + "/api/sessions").json()["sessions"]
    (id,) = [session["id"] for session in sessions if session.get("client_id") == client_id]
    return str(id)


def messages_of(running: Running, client_id: str) -> list[dict[str, Any]]:
    """All messages of that session, by the appliance's own API."""
    address = f"{running.url}/api/sessions/{session_of(running, client_id)}/messages"
    found: list[dict[str, Any]] = httpx.get(address).json()["messages"]
    return found


# -- chats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
def test_a_chat_is_streamed_as_plain_text(running: Running, path: str) -> None:
    body = {"prompt": "What is bread?", "model_name": MODEL, "max_token": 12, "temperature": 0}
    pieces = chat(running, body, path)
    assert len(pieces) > 3
    whole = httpx.post(
        running.url + "/v1/chat/completions",
        json={
            "messages": [{"role": "user", "content": "What is bread?"}],
            "max_tokens": 12,
            "temperature": 0,
        },
        timeout=60,
    ).json()
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]


def every_field(session: str | None) -> dict[str, Any]:
    """A request with every field of the original service."""
    return {
        "prompt": "Tell me about the sea.",
        "model_name": MODEL,
        "session_id": session,
        "max_token": 10,
        "top_k": 1,
        "repeat_penalty": 1.1,
        "system_prompt": "You are a sailor.",
        "stop": ["\n\n\n"],
        "device": "cpu",
    }


def test_both_cases_and_all_fields_are_taken(running: Running) -> None:
    snake = every_field(None)
    kebab = {name.replace("_", "-"): value for name, value in snake.items()}
    assert chat(running, snake) == chat(running, kebab)
    without = {k: v for k, v in snake.items() if k != "system_prompt"}
    assert chat(running, without) != chat(running, snake)


def test_a_stop_text_ends_the_reply(running: Running) -> None:
    body = {"prompt": "Count to ten.", "max_token": 24, "temperature": 0}
    free = "".join(chat(running, body))
    stop = free[5:8]
    assert "".join(chat(running, {**body, "stop": [stop]})) == free[: free.index(stop)]


def test_another_device_than_the_models_is_warned_about(running: Running) -> None:
    body = {"prompt": "Hi", "max_token": 1}
    for device, warned in (("cpu", False), ("auto", False), ("cuda", True)):
        response = httpx.post(
            running.url + "/chat/completions", json={**body, "device": device}, timeout=60
        )
        assert ("X-Appliance-Warning" in response.headers) == warned
    assert "cuda" in response.headers["X-Appliance-Warning"]


@pytest.mark.parametrize(
    ("wrong", "status", "named"),
    [
        ({"model_name": "nobody"}, 404, "nobody"),
        ({"max_token": "many"}, 400, "max_token"),
        ({"top_k": [1]}, 400, "top_k"),
        ({"temperature": True}, 400, "temperature"),
        ({"stop": [1]}, 400, "stop"),
        ({"messages": "x"}, 400, "messages"),
        ({"prompt": None}, 400, "prompt"),
        ({"session_id": 7}, 400, "session_id"),
        ({"session_id": "x" * 4097}, 400, "session_id"),
        ({"prompt": "hello " * 9000}, 400, "8192"),
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/v1/completions"])
def test_an_error_is_a_text(
    running: Running, path: str, wrong: dict[str, Any], status: int, named: str
) -> None:
    body = {"prompt": "Hi", "max_token": 1, **wrong}
    response = httpx.post(running.url + path, json=body, timeout=60)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    assert named in response.json()["error"]


def test_a_body_with_messages_is_openais(running: Running) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    whole = httpx.post(running.url + "/chat/completions", json=body, timeout=60).json()
    assert whole["object"] == "chat.completion"
    neither = httpx.post(running.url + "/chat/completions", json={"max_tokens": 2})
    assert (neither.status_code, neither.json()["error"]["param"]) == (400, "messages")


# -- sessions -------------------------------------------------------------------------------------


def test_a_session_remembers(running: Running, id: str) -> None:
    assert history(running, id) == []
    body = {"session_id": id, "max_token": 8, "temperature": 0, "system_prompt": "Be brief."}
    first = chat(running, {**body, "prompt": "My name is Ada."})
    second = chat(running, {**body, "prompt": "What is my name?"})
    assert history(running, id) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "".join(first)},
        {"role": "user", "content": "What is my name?"},
        {"role": "assistant", "content": "".join(second)},
    ]
    assert id in httpx.get(running.url + "/sessions").json()
    messages = messages_of(running, id)
    usage = [m["usage"] for m in messages if m["usage"]]
    assert usage[1]["prompt_tokens"] > usage[0]["prompt_tokens"]
    assert usage[1]["cached_tokens"] >= usage[0]["prompt_tokens"]


def test_the_history_is_the_system_message_and_the_last_twenty(running: Running, id: str) -> None:
    body = {"session_id": id, "max_token": 1, "temperature": 0, "system_prompt": "Be brief."}
    dropped = []
    for number in range(13):
        response = httpx.post(
            running.url + "/chat/completions",
            json={**body, "prompt": f"Number {number}."},
            timeout=60,
        )
        dropped.append(int(response.headers["X-Appliance-Dropped-Messages"]))
    # The eleventh prompt is message 21; the system message is not counted, and never left out.
    assert dropped[:10] == [0] * 10
    assert all(dropped[10:])
    assert len(history(running, id)) == 27
    messages = messages_of(running, id)
    reported = [m["usage"]["dropped_messages"] for m in messages if m["usage"]]
    assert reported == dropped


def test_rollback_takes_back_messages_but_not_the_system_message(running: Running, id: str) -> None:
    body = {"session_id": id, "max_token": 4, "temperature": 0, "system_prompt": "Be brief."}
    for number in range(3):
        chat(running, {**body, "prompt": f"Number {number}."})
    before = history(running, id)
    assert len(before) == 7

    def roll_back(amount: int) -> Any:
        address = f"{running.url}/chat/history/{id}/rollback"
        return httpx.post(address, json={"amount": amount}).json()

    assert roll_back(0) == {"status": "ok"}
    assert history(running, id) == before
    roll_back(2)
    assert history(running, id) == before[:5]
    chat(running, {**body, "prompt": "Again."})
    assert history(running, id)[:6] == [*before[:5], {"role": "user", "content": "Again."}]
    roll_back(99)
    assert history(running, id) == before[:1]
    chat(running, {**body, "prompt": "Anew."})
    assert [m["role"] for m in history(running, id)] == ["system", "user", "assistant"]
    address = f"{running.url}/chat/history/{id}/rollback"
    amounts: list[Any] = [{}, {"amount": "two"}, {"amount": -1, "more": 1}, [], 7]
    for sent in amounts:
        left = httpx.post(address, json=sent)
        assert (left.status_code, left.json()) == (200, {"status": "ok"})
        chat(running, {**body, "prompt": "Once more."})
        assert [m["role"] for m in history(running, id)][-2:] == ["user", "assistant"]
    unknown = httpx.post(f"{running.url}/chat/history/nobody/rollback", json={"amount": 1})
    assert (unknown.status_code, unknown.json()) == (200, {"status": "ok"})
    assert httpx.post(f"{running.url}/chat/history/{id}").status_code == 404


def test_a_deleted_session_is_empty_and_its_id_can_be_used_again(running: Running, id: str) -> None:
    body = {"session_id": id, "max_token": 4}
    chat(running, {**body, "prompt": "Once."})
    for _ in range(2):
        assert httpx.delete(f"{running.url}/chat/history/{id}").status_code == 204
    assert history(running, id) == []
    assert id not in httpx.get(running.url + "/sessions").json()
    chat(running, {**body, "prompt": "Twice."})
    assert history(running, id)[0]["content"] == "Twice."


def test_deleting_stops_the_reply_under_way(running: Running, id: str) -> None:
    body = {"session_id": id, "prompt": "Tell me a very long story.", "max_token": 400}
    with httpx.stream("POST", running.url + "/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        assert httpx.delete(f"{running.url}/chat/history/{id}").status_code == 204
        rest = [line for line in lines if line]
    assert len(rest) < 390
    assert "__ERROR__" not in "".join(rest)
    assert history(running, id) == []


# -- completions ----------------------------------------------------------------------------------


def test_completions_answer_with_both_services_fields(running: Running) -> None:
    body = {"prompt": "The sea is", "model-name": MODEL, "max-token": 8, "temperature": 0}
    mine = httpx.post(running.url + "/completions", json=body, timeout=60).json()
    assert mine["object"] == "text_completion"
    assert mine["text"] == mine["choices"][0]["text"]
    assert mine["tokens"] == mine["usage"]["completion_tokens"] == 8
    assert mine["duration_seconds"] > 0
    assert mine["tokens_per_second"] == pytest.approx(8 / mine["duration_seconds"], rel=0.05)
    with openai.OpenAI(base_url=running.url, api_key="none") as client:
        theirs = client.completions.create(
            model=MODEL, prompt="The sea is", max_tokens=8, temperature=0
        )
    assert theirs.choices[0].text == mine["text"]
    assert theirs.model_dump()["tokens"] == 8


def test_a_completion_with_a_session_is_a_turn_of_it(running: Running, id: str) -> None:
    body = {"session_id": id, "max_token": 6, "temperature": 0}
    for prompt in ("My name is Ada.", "What is my name?"):
        response = httpx.post(running.url + "/completions", json={**body, "prompt": prompt})
        assert response.status_code == 200
    assert [m["role"] for m in history(running, id)] == ["user", "assistant"] * 2
    assert history(running, id)[-1]["content"] == response.json()["text"]


# -- the WebSocket --------------------------------------------------------------------------------


@pytest.fixture
def dial(running: Running) -> Iterator[Any]:
    def dial(query: str = "") -> ClientConnection:
        opened: ClientConnection = connect(
            running.url.replace("http://", "ws://") + "/chat/ws" + query, proxy=None
        )
        return opened

    return dial  # type: ignore[return-value]


def receive(ws: ClientConnection) -> tuple[list[str], int]:
    """Every frame, and the close code."""
    frames = []
    try:
        while True:
            frames.append(ws.recv(60))
    except ConnectionClosed as closed:
        assert all(isinstance(frame, str) for frame in frames)
        return frames, closed.rcvd.code if closed.rcvd else 1006  # type: ignore[return-value]


def test_a_socket_receives_a_frame_for_each_token_and_is_closed(
    running: Running, dial: Any, id: str
) -> None:
    body = {"prompt": "What is bread?", "max_token": 12, "temperature": 0}
    alone = chat(running, body)
    with dial() as ws:
        ws.send(json.dumps(body))
        assert receive(ws) == (alone, 1000)
    with dial(f"?session_id={id}") as ws:
        ws.send(json.dumps({**body, "model-name": MODEL}))
        frames, code = receive(ws)
    assert code == 1000
    assert len(frames) >= 10
    assert history(running, id)[-1] == {"role": "assistant", "content": "".join(frames)}


@pytest.mark.parametrize("case", ["snake", "kebab"])
def test_a_socket_takes_every_field_in_both_cases(
    running: Running, dial: Any, id: str, case: str
) -> None:
    body = every_field(id)
    sent = {n.replace("_", "-") if case == "kebab" else n: v for n, v in body.items()}
    with dial() as ws:
        ws.send(json.dumps(sent))
        frames, code = receive(ws)
    assert code == 1000
    assert "".join(frames) == "".join(chat(running, {**body, "session_id": None}))
    assert [message["role"] for message in history(running, id)] == ["system", "user", "assistant"]


@pytest.mark.parametrize("request_", ["no JSON", "{}", '{"prompt":"Hi","model_name":"nobody"}'])
def test_a_sockets_error_is_sent_and_it_is_closed(dial: Any, request_: str) -> None:
    with dial() as ws:
        ws.send(request_)
        frames, code = receive(ws)
    assert code == 1000
    (error_text,) = frames
    assert error_text.startswith("__ERROR__:")


@pytest.mark.parametrize("over", ["HTTP", "WebSocket", "completions"])
def test_a_client_that_hangs_up_stops_the_reply_which_keeps_what_it_has(
    running: Running, dial: Any, id: str, over: str
) -> None:
    body = {"prompt": "Tell me a very long story.", "max_token": 400, "ignore_eos": True}
    if over == "WebSocket":
        with dial(f"?session_id={id}") as ws:
            ws.send(json.dumps(body))
            ws.recv(60)
    else:
        path = "/chat/completions" if over == "HTTP" else "/completions"
        sent = {**body, "session_id": id, "stream": True}
        with httpx.stream("POST", running.url + path, json=sent, timeout=60) as response:
            next(response.iter_lines())
    wait_until(lambda: messages_of(running, id)[-1]["status"] == "stopped", "it is written on")
    assert messages_of(running, id)[-1]["content"]
