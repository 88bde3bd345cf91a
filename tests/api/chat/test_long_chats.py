"""A chat longer than the context: most turns still prefill only the new messages."""

import itertools
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.chat.chats import messages, new_session, turn
from tests.running import Running

TURNS = 22


@pytest.mark.parametrize(
    ("n_ctx", "theirs", "drops"),
    [("2048", True, 4), ("256", False, 4)],
    ids=["of a client of the original service", "limited by the context"],
)
def test_most_turns_of_a_long_chat_read_only_what_is_new(
    tmp_path: Path, n_ctx: str, theirs: bool, drops: int
) -> None:
    appliance = Running(tmp_path, APPLIANCE_ENGINE_N_CTX=n_ctx).start()
    session = new_session(appliance)
    usages: list[dict[str, Any]] = []
    for i in range(TURNS):
        text = f"And what is {i * 37}, please?"
        if theirs:
            body = {"prompt": text, "session_id": session.rpartition("/")[2], "max_token": 2}
            answered = httpx.post(f"{appliance.url}/chat/completions", json=body, timeout=120)
            usages.append(messages(session)[-1]["usage"])
            reported = int(answered.headers["X-Appliance-Dropped-Messages"])
        else:
            received = turn(session, text, max_tokens=2, system_prompt="You are good at sums.")
            assert received[-1][0] == "done"
            usages.append(received[-1][1]["message"]["usage"])
            reported = received[0][1]["dropped_messages"]
        assert reported == usages[-1]["dropped_messages"]
    dropped = [usage["dropped_messages"] for usage in usages]
    assert dropped == sorted(dropped) and dropped[-1] > 0
    reasons = {usage["dropped_by"] for usage in usages if usage["dropped_messages"]}
    assert reasons == {"limit" if theirs else "context"}
    assert {u["dropped_by"] for u in usages if not u["dropped_messages"]} == {None}
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


def test_a_chat_is_sent_as_far_as_the_context_holds(running: Running) -> None:
    """However many messages that is."""
    session = new_session(running)
    first = turn(session, "My dog is called Zanzibar.", max_tokens=2)[-1][1]["message"]["usage"]
    before = first["context_tokens"]
    for number in range(12):
        usage = turn(session, f"{number}?", max_tokens=2)[-1][1]["message"]["usage"]
        assert (usage["dropped_messages"], usage["dropped_by"]) == (0, None)
        assert usage["prompt_tokens"] > before
        before = usage["context_tokens"]
