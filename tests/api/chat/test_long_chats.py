"""A chat longer than the context: most turns still prefill only the new messages."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.api.chat.chats import new_session, turn
from tests.running import Running

TURNS = 22


@pytest.mark.parametrize(
    ("settings", "drops"),
    [
        ({"LIMITS_MAX_HISTORY_MESSAGES": "20"}, 4),
        ({"LIMITS_MAX_HISTORY_MESSAGES": "1000", "ENGINE_N_CTX": "512"}, 4),
    ],
    ids=["limited in messages", "limited by the context"],
)
def test_most_turns_of_a_long_chat_read_only_what_is_new(
    tmp_path: Path, settings: dict[str, str], drops: int
) -> None:
    appliance = Running(tmp_path, **{f"APPLIANCE_{k}": v for k, v in settings.items()}).start()
    session = new_session(appliance)
    usages: list[dict[str, Any]] = []
    for i in range(TURNS):
        text = f"Turn {i}: tell me something about the number {i * 37}, in a few words, please."
        received = turn(session, text, max_tokens=4, system_prompt="You are a friend of numbers.")
        assert received[-1][0] == "done"
        usages.append(received[-1][1]["message"]["usage"])
        assert received[0][1]["dropped_messages"] == usages[-1]["dropped_messages"]
    dropped = [usage["dropped_messages"] for usage in usages]
    assert dropped == sorted(dropped) and dropped[-1] > 0
    moved = good = 0
    for before, now in itertools.pairwise(usages):
        if now["dropped_messages"] != before["dropped_messages"]:
            moved += 1
            continue
        new = now["prompt_tokens"] - before["prompt_tokens"] - before["completion_tokens"]
        good += now["prompt_tokens"] - now["cached_tokens"] <= 1.3 * new
    assert moved <= drops
    assert good >= (TURNS - 1 - moved) * 0.9
    assert good >= TURNS * 0.7
    assert appliance.stop() == 0
