"""The prompt cache: nothing is prefilled twice across chats and restarts; deleted with sessions."""

import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.api.chat.chats import new_session, turn
from tests.running import Running

STORY = "There was a miller who had three sons, a mill, a donkey and a cat. " * 8


def states(folder: Path) -> list[Path]:
    return sorted((folder / "cache").rglob("*.kv"))


def usage(session: str, content: str, **settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = turn(session, content, **settings)[-1][1]["message"]["usage"]
    return found


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_chat_is_warm_after_a_restart_and_leaves_nothing_when_deleted(tmp_path: Path) -> None:
    appliance = Running(tmp_path, APPLIANCE_DATA_UNDO_SECONDS="0").start()
    session = new_session(appliance)
    first = usage(session, STORY + "What is it about?")
    assert first["cached_from"] is None
    assert appliance.stop() == 0
    (file,) = states(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    appliance.start()
    second = usage(session, "And who is the hero?")
    assert second["cached_from"] == "disk"
    assert second["cached_tokens"] >= first["prompt_tokens"]

    assert httpx.delete(session).status_code == 204
    until(lambda: not states(tmp_path))
    fresh = usage(new_session(appliance), STORY + "What is it about?")
    # Only the beginning that all chats of this model share is left.
    assert fresh["cached_tokens"] < 50
    assert appliance.stop() == 0


def test_a_chat_that_goes_idle_is_saved_without_a_stop(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    session = new_session(appliance)
    usage(session, STORY)
    until(lambda: len(states(tmp_path)) == 1)
    appliance.kill()
    appliance.start()
    assert usage(session, "Go on.")["cached_from"] == "disk"
    assert appliance.stop() == 0


def test_two_chats_share_what_they_begin_with(running: Running) -> None:
    prompt = {"system_prompt": "You are a miller. " * 40, "max_tokens": 4}
    usage(new_session(running), "Good morning!", **prompt)
    second = usage(new_session(running), "Good evening, miller!", **prompt)
    assert second["cached_from"] in ("shared", "slot", "memory")
    assert second["cached_tokens"] > 160


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    appliance = Running(tmp_path, APPLIANCE_ENGINE_KV_DISK_MB="0").start()
    usage(new_session(appliance), STORY)
    assert appliance.stop() == 0
    assert states(tmp_path) == []


def test_more_chats_than_slots_are_not_read_twice(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path, APPLIANCE_ENGINE_N_SEQ_MAX="2", APPLIANCE_ENGINE_KV_DISK_MB="0"
    ).start()
    sessions = [new_session(appliance) for _ in range(5)]
    computed = new = 0
    read = dict.fromkeys(sessions, 0)
    for round_ in range(3):
        for i, session in enumerate(sessions):
            text = f"Chat {i}, round {round_}. " + "Tell me more about the miller. " * 6
            found = usage(session, text, max_tokens=2)
            computed += found["prompt_tokens"] - found["cached_tokens"]
            new += found["prompt_tokens"] - read[session]
            read[session] = found["prompt_tokens"] + found["completion_tokens"]
    assert computed <= new * 1.05
    assert appliance.stop() == 0
