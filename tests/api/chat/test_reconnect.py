"""A reply survives lost connections and restarts: no event is missed or received twice."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.api.chat.chats import LONG, messages, new_session, settled
from tests.api.chat.test_socket import dial, receive, receive_all, send, text_of
from tests.running import Running

STORED_SECONDS = 1.0
"""Seconds after which text that was received is stored durably; a documented promise."""


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance whose model writes slowly and evenly, so that there is time to reconnect."""
    appliance = Running(
        tmp_path_factory.mktemp("steady"),
        command=(sys.executable, "-m", "tests.service.fake_service"),
        FAKE_STEP_SECONDS="0.02",
    ).start()
    yield appliance
    assert appliance.stop() == 0


def test_the_socket_killed_at_every_tenth_token(steady: Running) -> None:
    session = new_session(steady)
    id = session.rpartition("/")[2]
    deltas: list[dict[str, Any]] = []
    ended: dict[str, Any] = {}
    sockets = 0
    while not ended:
        sockets += 1
        with dial(steady.url) as ws:
            if deltas:
                at = {"message_id": deltas[-1]["message_id"], "from": deltas[-1]["offset"]}
                send(ws, "follow", session_id=id, **at)
            else:
                send(ws, "turn", session_id=id, **LONG)
            received = 0
            while received < 10 and not ended:
                event = receive(ws)
                if event["type"] == "delta":
                    deltas.append(event)
                    received += 1
                elif event["type"] == "done":
                    ended = event["message"]
            # Like a dead network: without a close frame.
            ws.socket.shutdown(socket.SHUT_RDWR)
    assert sockets > 10
    assert text_of(deltas) == ended["content"]
    assert len(ended["content"]) == 400
    assert [d["offset"] for d in deltas] == sorted({d["offset"] for d in deltas})
    assert messages(session)[-1] == ended


def test_an_event_source_cut_at_every_tenth_token(steady: Running) -> None:
    session = new_session(steady)
    text, last_id, connections, done = "", "", 0, False
    while not done:
        connections += 1
        request: dict[str, Any] = {"method": "POST", "url": session + "/turns", "json": LONG}
        if last_id:
            request = {"method": "GET", "url": session + "/live"}
            request["headers"] = {"Last-Event-ID": last_id}
        received, name, data = 0, "", ""
        with httpx.stream(**request, timeout=60) as response:
            assert response.status_code == 200
            for line in response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    last_id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif not line and name == "delta":
                    text += httpx.Response(200, content=data).json()["text"]
                    received += 1
                    if received == 10:
                        break
                done = done or name == "done"
    assert connections > 10
    assert text == messages(session)[-1]["content"]


def test_a_client_that_reconnects_after_the_next_turn_receives_the_rest_of_its_own(
    steady: Running,
) -> None:
    session = new_session(steady)
    id = session.rpartition("/")[2]
    with dial(steady.url) as ws:
        send(ws, "turn", session_id=id, **{**LONG, "max_tokens": 20})
        first = receive(ws)
        while first["type"] != "delta":
            first = receive(ws)
    mine = settled(session)
    with dial(steady.url) as other, dial(steady.url) as back:
        send(other, "turn", session_id=id, **LONG)
        while receive(other)["type"] != "delta":
            pass
        at = {"message_id": first["message_id"], "from": first["offset"]}
        send(back, "follow", session_id=id, **at)
        received = receive_all(back)
        assert text_of(received) == mine["content"][first["offset"] :]
        assert received[-1]["message"] == mine
        send(other, "stop")
        receive_all(other)


def test_text_is_in_the_database_while_it_is_written(steady: Running) -> None:
    session = new_session(steady)
    id = session.rpartition("/")[2]
    with dial(steady.url) as ws:
        send(ws, "turn", session_id=id, **LONG)
        received = 0
        stored = ""
        while not stored:
            event = receive(ws)
            assert event["type"] != "done"
            received = event.get("offset", received)
            stored = messages(session)[-1]["content"]
        # The stored text grows with the received text, long before the end.
        before, grown = received, ""
        while len(grown) < before:
            assert receive(ws)["type"] == "delta"
            grown = messages(session)[-1]["content"]
        assert messages(session)[-1]["status"] == "streaming"
        send(ws, "stop")
        whole = receive_all(ws)[-1]["message"]["content"]
    assert whole.startswith(grown)


def test_everything_killed_in_mid_answer_and_the_reply_continued(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    session = new_session(appliance)
    id = session.rpartition("/")[2]
    with dial(appliance.url) as ws:
        send(ws, "turn", session_id=id, **{**LONG, "max_tokens": 2000})
        stored, received = "", list[tuple[float, str]]()
        while not stored or received[-1][0] - received[0][0] < 2 * STORED_SECONDS:
            event = receive(ws)
            if event["type"] == "delta":
                received.append((time.monotonic(), event["text"]))
            stored = stored or messages(session)[-1]["content"]
        last = received[-1][0]
        received_long_ago = "".join(text for at, text in received if at < last - STORED_SECONDS)
        processes = psutil.Process(appliance.pid).children(recursive=True)
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        appliance.kill()
    psutil.wait_procs(processes, timeout=10)
    appliance.start()
    partial = messages(session)[-1]
    assert partial["status"] == "interrupted"
    assert partial["content"].startswith(stored)
    assert partial["content"].startswith(received_long_ago)
    with dial(appliance.url) as ws:
        send(ws, "follow", session_id=id, message_id=partial["id"], **{"from": 3})
        replayed = receive_all(ws)
        assert replayed[-1]["message"] == partial
        assert text_of(replayed) == partial["content"][3:]
        send(ws, "continue", session_id=id, message_id=partial["id"], max_tokens=8)
        more = receive_all(ws)
    whole = more[-1]["message"]
    assert whole["id"] == partial["id"]
    assert whole["content"] == partial["content"] + text_of(more)
    assert whole["status"] == "complete"
    assert messages(session)[-1] == whole
    assert appliance.stop() == 0
