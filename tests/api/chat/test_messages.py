"""Single messages: edited, removed, put back, branched off, continued; and what the model saw."""

from typing import Any

import httpx
import pytest

from tests.api.chat.chats import messages, new_session, stream, turn
from tests.running import Running


@pytest.fixture
def session(running: Running) -> str:
    """A chat of two turns."""
    session = new_session(running, title="Bread")
    turn(session, "What is bread?")
    turn(session, "And butter?")
    return session


def contents(session: str) -> list[str]:
    return [message["content"] for message in messages(session)]


def prompt_of(session: str, message: dict[str, Any]) -> dict[str, Any]:
    response = httpx.get(f"{session}/messages/{message['id']}/prompt", timeout=60)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def text_of(parts: list[dict[str, Any]]) -> str:
    return "".join(piece["text"] for part in parts for piece in part["pieces"])


def test_an_edited_reply_is_what_the_model_reads_from_then_on(session: str) -> None:
    _, first, _, _ = messages(session)
    made = httpx.post(f"{session}/messages/{first['id']}/edit", json={"content": "It is baked."})
    assert made.status_code == 201
    new = made.json()
    assert (new["edited"], new["parent_id"]) == (True, first["parent_id"])
    assert httpx.get(session).json()["leaf_id"] == new["id"]
    assert first in messages(session)
    last = turn(session, "Is it?")[-1][1]["message"]
    shown = prompt_of(session, last)
    assert [part["message_id"] for part in shown["parts"] if part["role"] == "assistant"] == [
        new["id"]
    ]
    assert "It is baked." in text_of(shown["parts"])


def test_an_edited_reply_goes_on_from_its_text(session: str) -> None:
    last = messages(session)[-1]
    address = f"{session}/messages/{last['id']}/edit"
    new = httpx.post(address, json={"content": "Butter is"}).json()
    received = stream(f"{session}/messages/{new['id']}/continue", max_tokens=5, temperature=0)
    whole = received[-1][1]["message"]
    assert whole["content"].startswith("Butter is")
    assert (whole["id"], whole["edited"]) == (new["id"], True)
    shown = prompt_of(session, whole)
    assert text_of(shown["parts"][-1:]) == "Butter is"
    assert shown["as_sent"] is True


def test_a_complete_reply_goes_on_too(session: str) -> None:
    turn(session, "Say hello.", max_tokens=200)
    reply = messages(session)[-1]
    assert reply["finish_reason"] == "stop"
    received = stream(f"{session}/messages/{reply['id']}/continue", max_tokens=5)
    assert received[-1][1]["message"]["content"].startswith(reply["content"])


def test_a_turn_is_removed_and_put_back(session: str) -> None:
    before = messages(session)
    state = httpx.get(session).json()
    address = f"{session}/messages/{before[1]['id']}"
    removed = httpx.delete(address, params={"turn": "true"})
    assert removed.status_code == 200, removed.text
    assert removed.json()["message_ids"] == [before[0]["id"], before[1]["id"]]
    assert removed.json()["session"]["revision"] == 1
    assert contents(session) == ["And butter?", before[3]["content"]]
    again = httpx.delete(address)
    assert (again.status_code, again.json()["error"]["code"]) == (404, "message_not_found")
    # The model does not see it either.
    last = turn(session, "Why?")[-1][1]["message"]
    assert "bread" not in text_of(prompt_of(session, last)["parts"])
    restored = httpx.post(f"{address}/restore")
    assert restored.status_code == 200
    assert restored.json()["revision"] == 2
    assert messages(session)[:4] == before
    assert state["leaf_id"] == before[3]["id"]


def test_a_branch_is_a_chat_of_its_own(session: str, running: Running) -> None:
    before = messages(session)
    address = f"{session}/messages/{before[1]['id']}/branch"
    made = httpx.post(address, json={"title": "Bread, further"})
    assert made.status_code == 201
    branch = running.url + made.headers["Location"]
    assert made.json()["title"] == "Bread, further"
    assert contents(branch) == [before[0]["content"], before[1]["content"]]
    assert not {m["id"] for m in messages(branch)} & {m["id"] for m in before}
    # Lists of chats begin with it.
    assert made.json()["updated_at"] >= httpx.get(session).json()["updated_at"]
    turn(branch, "Then?")
    assert messages(session) == before
    assert httpx.post(address).json()["title"] == "Bread"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("edit", {}, "content"),
        ("edit", {"content": ""}, "content"),
        ("edit", {"content": "x", "role": "user"}, "role"),
        ("edit", {"content": "x" * 2_000_000}, "content"),
        ("branch", {"title": "x" * 201}, "title"),
        ("branch", {"titel": "x"}, "titel"),
    ],
)
def test_bad_requests_name_the_field(session: str, path: str, body: Any, param: str) -> None:
    before = messages(session)
    refused = httpx.post(f"{session}/messages/{before[1]['id']}/{path}", json=body)
    assert refused.status_code in (400, 413), refused.text
    assert refused.status_code == 413 or refused.json()["error"]["param"] == param
    assert messages(session) == before


def test_the_prompt_is_the_one_that_was_sent(session: str) -> None:
    first, reply, second, last = messages(session)
    shown = prompt_of(session, last)
    assert shown["as_sent"] is True
    assert shown["prompt_tokens"] == last["usage"]["prompt_tokens"]
    assert shown["cached_tokens"] == last["usage"]["cached_tokens"]
    assert sum(len(part["pieces"]) for part in shown["parts"]) == shown["prompt_tokens"]
    of_messages = {
        part["message_id"]: text_of([part]) for part in shown["parts"] if part["message_id"]
    }
    assert of_messages == {m["id"]: m["content"].strip() for m in (first, reply, second)}
    control = {
        piece["text"] for part in shown["parts"] for piece in part["pieces"] if "control" in piece
    }
    assert control == {"<|im_start|>", "<|im_end|>"}
    # Exactly what the worker makes of the same chat.
    rendered = httpx.post(
        session.partition("/api/")[0] + "/apply-template",
        json={
            "messages": [
                {"role": m["role"], "content": m["content"]} for m in messages(session)[:3]
            ]
        },
    )
    assert text_of(shown["parts"]) == rendered.json()["prompt"]


def test_the_system_prompt_is_that_of_then(session: str) -> None:
    last = turn(session, "Well?", system_prompt="Speak like a <|im_start|> sailor.")[-1][1][
        "message"
    ]
    httpx.patch(session, json={"settings": {"system_prompt": "Speak like a judge."}})
    shown = prompt_of(session, last)
    (system,) = [part for part in shown["parts"] if part["role"] == "system"]
    assert (system["message_id"], text_of([system])) == (None, "Speak like a <|im_start|> sailor.")
    # What people write is text, whatever it looks like.
    assert not any("control" in piece for piece in system["pieces"])
    assert shown["as_sent"] is True


def imported(session: str, **changed: str) -> str:
    """A copy of a chat, its messages with other fields."""
    exported = httpx.get(session + "/export").json()
    for message in exported["messages"]:
        message.update({name: value for name, value in changed.items() if message[name]})
    url = session.partition("/api/")[0]
    made = httpx.post(f"{url}/api/sessions/import", json=exported)
    assert made.status_code == 201, made.text
    return f"{url}/api/sessions/{made.json()['id']}"


def test_what_was_left_out_is_named(session: str) -> None:
    copy = imported(session, content="word " * 9000)
    last = turn(copy, "Short.")[-1][1]["message"]
    assert last["usage"]["dropped_messages"] == 4
    shown = prompt_of(copy, last)
    assert shown["as_sent"] is True
    assert [(each["message_id"], each["reason"]) for each in shown["left_out"]] == [
        (message["id"], "too_long") for message in messages(copy)[:4]
    ]


def test_a_prompt_without_its_model_is_not_made_up(session: str) -> None:
    copy = imported(session, model="long-gone")
    refused = httpx.get(f"{copy}/messages/{messages(copy)[-1]['id']}/prompt")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    asked = httpx.get(f"{copy}/messages/{messages(copy)[0]['id']}/prompt")
    assert (asked.status_code, asked.json()["error"]["param"]) == (400, "message_id")
