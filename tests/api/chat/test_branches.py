"""Regenerated replies, branches, and replies that are continued."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.chat.chats import LONG, messages, new_session, settled, stream, turn
from tests.api.sse import events
from tests.running import Running


@pytest.fixture
def session(running: Running) -> str:
    return new_session(running)


def text_of(received: list[tuple[str, Any]]) -> str:
    return "".join(data["text"] for name, data in received if name == "delta")


def test_another_reply_stands_beside_the_first(session: str) -> None:
    turn(session, "Name a colour.")
    user, first = messages(session)
    received = stream(f"{session}/messages/{first['id']}/regenerate", max_tokens=12, seed=7)
    assert received[0][0] == "turn"
    assert received[0][1]["user"] == user
    second = received[-1][1]["message"]
    assert second["parent_id"] == user["id"]
    assert messages(session) == [user, first, second]
    assert httpx.get(session).json()["leaf_id"] == second["id"]
    assert second["usage"]["seed"] == 7


def test_the_chat_goes_on_in_the_branch_that_was_chosen(session: str) -> None:
    turn(session, "One.")
    _, first = messages(session)
    stream(f"{session}/messages/{first['id']}/regenerate", max_tokens=3)
    chosen = httpx.patch(session, json={"leaf_id": first["id"]})
    assert chosen.status_code == 200
    assert chosen.json()["leaf_id"] == first["id"]
    turn(session, "Two.")
    assert messages(session)[-2]["parent_id"] == first["id"]
    refused = httpx.patch(session, json={"leaf_id": "none"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "leaf_id")


def test_a_reply_cut_for_its_length_goes_on_as_if_it_had_not_been(session: str) -> None:
    # The model is sure of this answer, so that rounding changes no token.
    question = "Name the months of the year."
    whole = turn(session, question, max_tokens=40)[-1][1]["message"]
    turn(session, question, max_tokens=15, parent_id=None)
    cut = messages(session)[-1]
    assert (cut["status"], cut["finish_reason"]) == ("complete", "length")
    received = stream(f"{session}/messages/{cut['id']}/continue", max_tokens=25, temperature=0)
    assert received[0][1]["reply"]["content"] == cut["content"]
    rest = received[-1][1]["message"]
    assert rest["content"] == cut["content"] + text_of(received) == whole["content"]
    assert (rest["id"], rest["parent_id"]) == (cut["id"], cut["parent_id"])
    deltas = [data for name, data in received if name == "delta"]
    assert deltas[0]["offset"] == len(cut["content"]) + len(deltas[0]["text"])
    assert messages(session)[-1] == rest


def test_what_was_written_is_not_read_again(session: str) -> None:
    before = turn(session, "What is bread? " * 10, max_tokens=40)[-1][1]["message"]
    received = stream(f"{session}/messages/{before['id']}/continue", max_tokens=4, temperature=0)
    usage = received[-1][1]["message"]["usage"]
    # The last token that was written has not been computed yet.
    assert usage["cached_tokens"] >= before["usage"]["context_tokens"] - 2
    assert usage["prompt_tokens"] - usage["cached_tokens"] <= 2
    assert usage["completion_tokens"] == before["usage"]["completion_tokens"] + 4
    assert usage["context_tokens"] == before["usage"]["context_tokens"] + 4
    assert usage["n_ctx"] >= usage["context_tokens"]


def test_a_stopped_reply_goes_on(session: str) -> None:
    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        for name, data in events(response):
            if name == "delta" and data["offset"] > 20:
                httpx.post(session + "/stop")
    stopped = settled(session)
    assert stopped["status"] == "stopped"
    received = stream(f"{session}/messages/{stopped['id']}/continue", max_tokens=8)
    assert received[-1][1]["message"]["content"] == stopped["content"] + text_of(received)
    assert len(messages(session)) == 2


def test_a_reply_that_goes_on_is_followed_from_anywhere(session: str) -> None:
    turn(session, "Tell me a long story.", max_tokens=5)
    cut = messages(session)[-1]
    body = {"max_tokens": 60, "temperature": 1, "seed": 3}
    address = f"{session}/messages/{cut['id']}/continue"
    followed = ""
    with httpx.stream("POST", address, json=body, timeout=60) as response:
        next(iter(events(response)))
        with httpx.stream("GET", session + "/live?from=0", timeout=60) as live:
            received = list(events(live))
    followed = text_of(received)
    assert followed == settled(session)["content"]
    assert followed.startswith(cut["content"])


def test_what_does_not_go_on(session: str) -> None:
    turn(session, "Say hello.")
    turn(session, "And again.")
    question, reply = messages(session)[:2]
    refused = httpx.post(f"{session}/messages/{reply['id']}/continue", json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    refused = httpx.post(f"{session}/messages/{question['id']}/continue", json={})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "message_id")
    missing = httpx.post(f"{session}/messages/none/continue", json={})
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "message_not_found"


def test_an_interrupted_reply_goes_on_after_the_restart(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    try:
        session = new_session(appliance)
        with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
            for name, _ in events(response):
                if name == "delta" and messages(session)[-1]["content"]:
                    break
            appliance.kill()
        appliance.start()
        cut = messages(session)[-1]
        assert cut["status"] == "interrupted"
        received = stream(f"{session}/messages/{cut['id']}/continue", max_tokens=8)
        whole = received[-1][1]["message"]
        assert whole["content"] == cut["content"] + text_of(received)
        assert whole["status"] == "complete"
    finally:
        appliance.stop()
