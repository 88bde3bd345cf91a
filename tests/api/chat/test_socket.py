"""`/chat/ws` with the subprotocol `appliance.v1`, by the `websockets` library."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.api.chat.chats import LONG, messages, new_session
from tests.running import Running

SHORT = {"content": "What is bread?", "max_tokens": 12, "temperature": 0}


def dial(url: str, session_id: str = "") -> ClientConnection:
    address = url.replace("http://", "ws://") + f"/chat/ws?session_id={session_id}"
    opened: ClientConnection = connect(
        address, subprotocols=[Subprotocol("appliance.v1")], proxy=None
    )
    return opened


def send(ws: ClientConnection, kind: str, **fields: Any) -> None:
    ws.send(json.dumps({"type": kind, **fields}))


def receive(ws: ClientConnection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(ws.recv(60))
    return event


def receive_all(ws: ClientConnection) -> list[dict[str, Any]]:
    """Every event up to and including the end of the next reply."""
    received: list[dict[str, Any]] = []
    while not received or received[-1]["type"] not in ("done", "error"):
        received.append(receive(ws))
    return received


def close_code(ws: ClientConnection) -> int:
    """The close code of the connection, ignoring any frames before it."""
    try:
        while True:
            ws.recv(30)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "delta")


@pytest.fixture
def session(running: Running) -> str:
    """Address of a new session."""
    return new_session(running)


@pytest.fixture
def id(session: str) -> str:
    return session.rpartition("/")[2]


@pytest.fixture
def ws(running: Running) -> Iterator[ClientConnection]:
    with dial(running.url) as ws:
        yield ws


def test_a_turn_sends_every_event_from_its_beginning_to_its_end(
    ws: ClientConnection, session: str, id: str
) -> None:
    send(ws, "turn", session_id=id, **SHORT)
    received = receive_all(ws)
    kinds = [event["type"] for event in received]
    assert kinds[:2] == ["turn", "accepted"]
    assert kinds[-2:] == ["usage", "done"]
    assert set(kinds[2:-2]) <= {"queued", "prefill", "delta"}
    user, reply = messages(session)
    assert {event["session_id"] for event in received} == {id}
    assert {event["message_id"] for event in received} == {reply["id"]}
    assert received[0]["user"] == user
    assert received[-1]["message"] == reply
    assert text_of(received) == reply["content"]
    assert received[1]["prompt_tokens"] == reply["usage"]["prompt_tokens"]
    assert received[-2]["completion_tokens"] == reply["usage"]["completion_tokens"]
    assert received[-2]["tokens_per_second"] > 0


def test_a_reply_is_made_again_and_goes_on(ws: ClientConnection, session: str, id: str) -> None:
    send(ws, "turn", session_id=id, **{**SHORT, "max_tokens": 4})
    first = receive_all(ws)[-1]["message"]
    send(ws, "regenerate", session_id=id, message_id=first["id"], max_tokens=4, temperature=0)
    second = receive_all(ws)[-1]["message"]
    assert (second["parent_id"], second["content"]) == (first["parent_id"], first["content"])
    send(ws, "continue", session_id=id, message_id=first["id"], max_tokens=4, temperature=0)
    received = receive_all(ws)
    assert received[-1]["message"]["id"] == first["id"]
    assert received[-1]["message"]["content"] == first["content"] + text_of(received)
    send(ws, "continue", session_id=id, message_id="none")
    assert receive(ws)["error"]["code"] == "message_not_found"


def test_one_socket_serves_many_sessions_one_after_the_other_and_together(
    running: Running, ws: ClientConnection
) -> None:
    ids = [new_session(running).rpartition("/")[2] for _ in range(3)]
    for _ in range(2):
        for id in ids:
            send(ws, "turn", session_id=id, **SHORT)
        ended: dict[str, str] = {}
        received: dict[str, list[dict[str, Any]]] = {id: [] for id in ids}
        while len(ended) < 3:
            event = receive(ws)
            received[event["session_id"]].append(event)
            if event["type"] == "done":
                ended[event["session_id"]] = event["message"]["content"]
        for id in ids:
            assert text_of(received[id]) == ended[id]


def test_the_sockets_own_session_is_meant_where_none_is_named(
    running: Running, session: str, id: str
) -> None:
    with dial(running.url, id) as ws:
        send(ws, "turn", **SHORT)
        assert receive_all(ws)[-1]["session_id"] == id


def test_the_original_services_request_is_answered_with_events_too(running: Running) -> None:
    with dial(running.url, "made-by-a-client") as ws:
        for prompt in ("My name is Ada.", "What is my name?"):
            ws.send(json.dumps({"prompt": prompt, "max-token": 6, "system-prompt": "Be brief."}))
            received = receive_all(ws)
            # Events have our id of the session, which the client calls otherwise.
            (ours,) = {event["session_id"] for event in received}
            session = httpx.get(f"{running.url}/api/sessions/{ours}").json()
            assert session["client_id"] == "made-by-a-client"
            assert (received[-1]["type"], received[-1]["message"]["status"]) == ("done", "complete")
    history = httpx.get(running.url + "/chat/history/made-by-a-client").json()
    assert [m["role"] for m in history] == ["system", *["user", "assistant"] * 2]
    with dial(running.url) as ws:
        ws.send(json.dumps({"prompt": "Hi"}))
        assert receive(ws)["error"]["param"] == "session_id"


def test_stop_ends_the_reply_and_the_socket_stays(
    ws: ClientConnection, session: str, id: str
) -> None:
    send(ws, "turn", session_id=id, **LONG)
    while receive(ws)["type"] != "delta":
        pass
    send(ws, "stop")
    done = receive_all(ws)[-1]
    assert (done["type"], done["message"]["status"]) == ("done", "stopped")
    send(ws, "turn", session_id=id, **SHORT)
    assert receive_all(ws)[-1]["type"] == "done"


def test_hanging_up_does_not_end_the_reply_which_can_be_followed_from_any_character(
    running: Running, session: str, id: str
) -> None:
    with dial(running.url) as ws:
        send(ws, "turn", session_id=id, **{**LONG, "max_tokens": 60})
        before = receive(ws)
        while before["type"] != "delta":
            before = receive(ws)
    with dial(running.url) as first, dial(running.url) as second:
        for ws, start in ((first, before["offset"]), (second, 0)):
            send(ws, "follow", session_id=id, message_id=before["message_id"], **{"from": start})
        rest, whole = receive_all(first), receive_all(second)
    content = whole[-1]["message"]["content"]
    assert text_of(whole) == content
    assert text_of(rest) == content[before["offset"] :]
    assert rest[-1]["message"]["status"] == "complete"


def test_a_reply_that_has_ended_is_followed_to_its_end(
    ws: ClientConnection, session: str, id: str
) -> None:
    send(ws, "turn", session_id=id, **SHORT)
    done = receive_all(ws)[-1]["message"]
    send(ws, "follow", session_id=id, message_id=done["id"], **{"from": 5})
    received = receive_all(ws)
    assert [event["type"] for event in received] == ["delta", "usage", "done"]
    assert text_of(received) == done["content"][5:]
    assert received[-1]["message"] == done


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("no JSON", "invalid_request", None),
        ("[]", "invalid_request", None),
        ('{"type":"dance"}', "invalid_request", "type"),
        ('{"type":"turn","session_id":"x"}', "invalid_request", "content"),
        ('{"type":"turn","content":"Hi"}', "invalid_request", "session_id"),
        ('{"type":"turn","session_id":"x","content":"Hi","colour":1}', "invalid_request", "colour"),
        ('{"type":"turn","session_id":"nobody","content":"Hi"}', "session_not_found", None),
        ('{"type":"follow","session_id":"nobody"}', "session_not_found", None),
        ('{"type":"stop","session_id":"nobody"}', "session_not_found", None),
    ],
)
def test_an_error_is_reported_and_the_socket_stays_open(
    ws: ClientConnection, message: str, code: str, param: str | None
) -> None:
    ws.send(message)
    event = receive(ws)
    assert event["type"] == "error"
    assert event["error"]["code"] == code
    assert event["error"]["param"] == param
    send(ws, "ping")
    assert receive(ws) == {"type": "pong"}


def test_a_turn_while_another_is_answered_is_refused(
    ws: ClientConnection, session: str, id: str
) -> None:
    send(ws, "turn", session_id=id, **LONG)
    while receive(ws)["type"] != "delta":
        pass
    send(ws, "turn", session_id=id, **SHORT)
    refused = receive_all(ws)[-1]
    assert refused["error"]["code"] == "reply_in_progress"
    send(ws, "stop", session_id=id)
    assert receive_all(ws)[-1]["message"]["status"] == "stopped"


def test_a_queued_request_is_sent_its_position_and_every_change(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path,
        command=(sys.executable, "-m", "tests.service.fake_service"),
        FAKE_STEP_SECONDS="0.02",
        APPLIANCE_ENGINE_N_SEQ_MAX="1",
    ).start()
    ids = [new_session(appliance).rpartition("/")[2] for _ in range(3)]
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(dial(appliance.url, id)) for id in ids)
        send(first, "turn", **LONG)
        while receive(first)["type"] != "delta":
            pass
        for place, ws in enumerate((second, third), 1):
            send(ws, "turn", content="Hello", max_tokens=40)
            while (event := receive(ws))["type"] != "queued":
                assert event["type"] in ("turn", "accepted")
            assert event["place"] == place
        send(first, "stop")
        assert receive_all(first)[-1]["message"]["status"] == "stopped"
        assert [event["type"] for event in receive_all(second)].count("queued") == 0
        received = receive_all(third)
        assert [event["place"] for event in received if event["type"] == "queued"] == [1]
        assert received[-1]["message"]["status"] == "complete"
    assert appliance.stop() == 0


def test_deleting_the_session_ends_what_is_followed(
    ws: ClientConnection, session: str, id: str
) -> None:
    send(ws, "turn", session_id=id, **LONG)
    while receive(ws)["type"] != "delta":
        pass
    assert httpx.delete(session).status_code == 204
    assert receive_all(ws)[-1]["type"] == "error"


def test_another_origin_is_refused_before_the_upgrade(running: Running) -> None:
    response = httpx.get(
        running.url + "/chat/ws",
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": "appliance.v1",
            "Origin": "https://elsewhere.example",
        },
    )
    assert response.status_code == 403
    assert response.json()["error"]["message"]


def test_a_stop_lets_replies_end_and_then_says_going_away(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    session = new_session(appliance)
    with dial(appliance.url) as ws, dial(appliance.url) as idle:
        send(ws, "turn", session_id=session.rpartition("/")[2], **{**LONG, "max_tokens": 40})
        while receive(ws)["type"] != "delta":
            pass
        os.kill(appliance.pid, signal.SIGTERM)
        assert close_code(idle) == 1001
        send(ws, "turn", session_id="other", **SHORT)
        received = receive_all(ws)
        while received[-1]["type"] != "done":
            received += receive_all(ws)
        refused = [event for event in received if event["type"] == "error"]
        assert [event["error"]["code"] for event in refused] == ["shutting_down"]
        assert close_code(ws) == 1001
    assert appliance.stop() == 0
    appliance.start()
    assert messages(session)[-1]["status"] == "complete"
    assert appliance.stop() == 0


def test_a_reply_that_outlasts_the_grace_is_cut_with_service_restart(tmp_path: Path) -> None:
    appliance = Running(tmp_path, APPLIANCE_SERVER_SHUTDOWN_GRACE_SECONDS="0.3").start()
    session = new_session(appliance)
    with dial(appliance.url) as ws:
        send(ws, "turn", session_id=session.rpartition("/")[2], **LONG)
        while receive(ws)["type"] != "delta":
            pass
        os.kill(appliance.pid, signal.SIGTERM)
        assert close_code(ws) == 1012
    assert appliance.stop() == 0
    appliance.start()
    reply = messages(session)[-1]
    assert reply["status"] == "interrupted"
    assert reply["content"]
    assert appliance.stop() == 0


def test_many_sockets_follow_one_reply(running: Running, session: str, id: str) -> None:
    followed: list[str] = []

    def follow(begun: threading.Barrier) -> None:
        with dial(running.url) as ws:
            begun.wait(60)
            send(ws, "follow", session_id=id)
            followed.append(text_of(receive_all(ws)))

    begun = threading.Barrier(9)
    threads = [threading.Thread(target=follow, args=(begun,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    with dial(running.url) as ws:
        send(ws, "turn", session_id=id, **{**LONG, "max_tokens": 100})
        while (event := receive(ws))["type"] != "delta":
            pass
        begun.wait(60)
        whole = receive_all(ws)[-1]["message"]["content"]
    for thread in threads:
        thread.join(60)
    assert whole.startswith(event["text"])
    assert followed == [whole] * 8
