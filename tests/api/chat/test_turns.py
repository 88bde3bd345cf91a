"""Stored chats: turns, Stop, a second follower, hanging up, restart, crash."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.api.chat.chats import LONG, messages, new_session, settled, turn
from tests.api.sse import events
from tests.running import Running


@pytest.fixture
def session(running: Running) -> str:
    return new_session(running)


def test_a_turn_streams_its_reply_and_stores_both(session: str) -> None:
    received = turn(session, "What is bread?")
    names = [name for name, _ in received]
    assert names[0] == "turn"
    assert names[-1] == "done"
    assert names[1] == "accepted"
    assert names[-2] == "usage"
    assert set(names[2:-2]) <= {"queued", "prefill", "delta"}
    text = "".join(data["text"] for name, data in received if name == "delta")
    done = received[-1][1]["message"]
    assert done["content"] == text
    assert done["status"] == "complete"
    assert done["usage"]["completion_tokens"] > 0
    user, reply = messages(session)
    assert (user["role"], user["content"], user["status"]) == ("user", "What is bread?", "complete")
    assert reply == done
    assert reply["parent_id"] == user["id"]
    state = httpx.get(session).json()
    assert state["title"] == "What is bread?"
    assert state["leaf_id"] == reply["id"]
    assert state["live_message_id"] is None


def test_offsets_count_the_characters_of_the_reply(session: str) -> None:
    deltas = [data for name, data in turn(session, "Say something.") if name == "delta"]
    end = 0
    for delta in deltas:
        end += len(delta["text"])
        assert delta["offset"] == end


def test_the_history_is_the_context_and_is_not_read_twice(session: str) -> None:
    turn(session, "My name is Ada. " + "Remember it well. " * 20)
    usage = turn(session, "What is my name?")[-1][1]["message"]["usage"]
    first = messages(session)[1]["usage"]
    assert usage["prompt_tokens"] > first["prompt_tokens"]
    assert usage["cached_tokens"] >= first["prompt_tokens"]
    assert usage["dropped_messages"] == 0


def test_a_history_that_fits_is_sent_whole_however_many_messages_it_has(session: str) -> None:
    for i in range(12):
        received = turn(session, f"Message number {i}.", max_tokens=1)
    assert received[0][1]["dropped_messages"] == 0
    assert received[-1][1]["message"]["usage"]["dropped_messages"] == 0
    assert len(messages(session)) == 24


def test_stop_keeps_the_text_so_far(session: str) -> None:
    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        text = ""
        for name, data in events(response):
            if name == "delta":
                text += data["text"]
                if len(text) > 20:
                    assert httpx.post(session + "/stop").status_code == 204
        assert (name, data["message"]["status"]) == ("done", "stopped")
    assert data["message"]["finish_reason"] == "cancelled"
    assert messages(session)[-1]["content"] == text
    assert httpx.post(session + "/stop").status_code == 204


def test_hanging_up_does_not_end_the_reply(session: str) -> None:
    body = {**LONG, "max_tokens": 60}
    with httpx.stream("POST", session + "/turns", json=body, timeout=60) as response:
        next(iter(events(response)))
    reply = settled(session)
    assert reply["status"] == "complete"
    assert reply["usage"]["completion_tokens"] > 12


def test_a_second_follower_gets_every_character_once(session: str) -> None:
    followed: dict[int, str] = {}

    def follow(start: int) -> None:
        text = ""
        with httpx.stream("GET", f"{session}/live?from={start}", timeout=60) as response:
            for name, data in events(response):
                if name == "delta":
                    text += data["text"]
        followed[start] = text

    threads: list[threading.Thread] = []
    body = {**LONG, "max_tokens": 80}
    with httpx.stream("POST", session + "/turns", json=body, timeout=60) as response:
        for name, data in events(response):
            if name == "delta" and data["offset"] > 10 and not threads:
                assert httpx.get(session).json()["live_message_id"]
                threads = [threading.Thread(target=follow, args=(at,)) for at in (0, 5, 10)]
                for thread in threads:
                    thread.start()
    for thread in threads:
        thread.join(60)
    whole = data["message"]["content"]
    assert followed == {0: whole, 5: whole[5:], 10: whole[10:]}
    assert httpx.get(session + "/live").status_code == 404


def test_one_reply_at_a_time(session: str) -> None:
    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        next(iter(events(response)))
        refused = httpx.post(session + "/turns", json={"content": "me too"})
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "reply_in_progress"
        httpx.post(session + "/stop")
    settled(session)
    assert len(messages(session)) == 2


def test_another_answer_becomes_a_branch(session: str) -> None:
    turn(session, "First.")
    user, reply = messages(session)
    turn(session, "Instead.", parent_id=None)
    turn(session, "After the first.", parent_id=reply["id"])
    tree = messages(session)
    assert len(tree) == 6
    assert [m["parent_id"] for m in tree if m["role"] == "user"] == [None, None, reply["id"]]
    assert user in tree


def test_deleting_a_session_in_mid_reply_ends_it(session: str) -> None:
    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        stream = events(response)
        next(stream)
        assert httpx.delete(session).status_code == 204
        rest = list(stream)
    assert rest[-1][0] == "error"
    assert httpx.get(session).status_code == 404


def test_a_chat_deleted_in_mid_reply_is_restored_with_its_messages(session: str) -> None:
    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        received = ""
        for name, data in events(response):
            if name == "delta":
                received += data["text"]
                if len(received) > 20:
                    httpx.delete(session)
    restored = httpx.post(session + "/restore")
    assert restored.status_code == 200
    assert restored.json() == httpx.get(session).json()
    reply = settled(session)
    assert (reply["status"], reply["content"]) == ("stopped", received)
    assert turn(session, "And on?")[-1][0] == "done"


def test_a_message_too_long_for_the_context_is_stored_and_refused(session: str) -> None:
    response = httpx.post(session + "/turns", json={"content": "hello " * 9000}, timeout=60)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"
    reply = settled(session)
    assert (reply["status"], reply["error"]["code"]) == ("failed", "context_length_exceeded")


def test_sessions_are_listed_newest_first_and_renamed(running: Running) -> None:
    first, second = new_session(running), new_session(running)
    turn(first, "Wake up.", max_tokens=1)
    listed = [s["id"] for s in httpx.get(running.url + "/api/sessions").json()["sessions"]]
    assert listed.index(first.rpartition("/")[2]) < listed.index(second.rpartition("/")[2])
    renamed = httpx.patch(first, json={"title": "Another name"}).json()
    assert renamed["title"] == "Another name"
    assert httpx.get(first).json() == renamed
    for session in (first, second):
        assert httpx.delete(session).status_code == 204


def test_three_chats_go_on_when_their_worker_is_killed(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    try:
        sessions = [new_session(appliance) for _ in range(3)]
        begun = threading.Barrier(4)
        ended: dict[str, tuple[str, str, Any]] = {}
        long = {**LONG, "max_tokens": 80}

        def chat(session: str) -> None:
            text = ""
            with httpx.stream("POST", session + "/turns", json=long, timeout=120) as response:
                for event in events(response):
                    if event[0] == "delta":
                        if not text:
                            begun.wait(60)
                        text += event[1]["text"]
            ended[session] = (text, *event)

        threads = [threading.Thread(target=chat, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        begun.wait(60)
        os.kill(appliance.worker_pid, signal.SIGKILL)
        for thread in threads:
            thread.join(120)
        for session in sessions:
            text, name, data = ended[session]
            assert name == "done"
            assert data["message"]["usage"]["completion_tokens"] == long["max_tokens"]
            user, reply = messages(session)
            assert user["content"] == LONG["content"]
            assert (reply["status"], reply["content"]) == ("complete", text)
        assert turn(sessions[0], "Are you there?")[-1][0] == "done"
    finally:
        assert appliance.stop() == 0


def test_chats_are_there_after_a_restart_and_after_a_crash(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    session = new_session(appliance)
    turn(session, "Before the restart.")
    before = messages(session)
    assert appliance.stop() == 0
    appliance.start()
    assert messages(session) == before

    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        text = ""
        at = 0.0
        for name, data in events(response):
            if name == "delta":
                text += data["text"]
                at = at or time.monotonic()
                if time.monotonic() - at > 1.5:
                    break
        worker = psutil.Process(appliance.worker_pid)
        appliance.kill()
    psutil.wait_procs([worker], timeout=2)
    # Init may take a while to notice that it has ended.
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    appliance.start()
    assert messages(session)[:2] == before
    reply = messages(session)[-1]
    assert reply["status"] == "interrupted"
    assert reply["content"]
    assert text.startswith(reply["content"]) or reply["content"].startswith(text)
    assert turn(session, "And now?")[-1][0] == "done"
    assert appliance.stop() == 0


def test_a_polite_stop_lets_replies_end(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    session = new_session(appliance)
    body = {**LONG, "max_tokens": 40}
    with httpx.stream("POST", session + "/turns", json=body, timeout=60) as response:
        stream = events(response)
        next(stream)
        os.kill(appliance.pid, signal.SIGTERM)
        rest = list(stream)
    assert rest[-1][0] == "done"
    assert appliance.stop() == 0
    appliance.start()
    assert messages(session)[-1]["status"] == "complete"
    assert appliance.stop() == 0
