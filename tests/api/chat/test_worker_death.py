"""Turns whose worker dies."""

import os
import signal
import threading
from pathlib import Path

import httpx

from tests.api.chat.chats import LONG, messages, new_session
from tests.api.sse import events
from tests.running import Running


def test_a_turn_that_had_not_begun_is_begun_again_and_one_that_had_goes_on(tmp_path: Path) -> None:
    appliance = Running(tmp_path, APPLIANCE_ENGINE_N_SEQ_MAX="1").start()
    writing, waiting = new_session(appliance), new_session(appliance)
    begun, queued = threading.Event(), threading.Event()
    ends: dict[str, str] = {}

    def chat(session: str, expected_event: str, event: threading.Event) -> None:
        body = LONG if session == writing else {"content": "Good morning!", "max_tokens": 8}
        with httpx.stream("POST", session + "/turns", json=body, timeout=60) as response:
            for name, _ in events(response):
                ends[session] = name
                if name == expected_event:
                    event.set()

    first = threading.Thread(target=chat, args=(writing, "delta", begun))
    first.start()
    assert begun.wait(60)
    second = threading.Thread(target=chat, args=(waiting, "queued", queued))
    second.start()
    assert queued.wait(60)
    os.kill(appliance.worker_pid, signal.SIGKILL)
    first.join(60)
    second.join(60)
    assert ends == {writing: "done", waiting: "done"}
    user, reply = messages(writing)
    assert (user["status"], reply["status"]) == ("complete", "complete")
    assert reply["usage"]["completion_tokens"] == LONG["max_tokens"]
    assert [message["status"] for message in messages(waiting)] == ["complete", "complete"]
    assert messages(waiting)[1]["content"]
    assert appliance.stop() == 0
