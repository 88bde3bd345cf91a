"""Chats are exported to a file and imported complete; anything else is refused."""

import copy
import json
from typing import Any

import httpx
import pytest

from tests.api.chat.chats import LONG, messages, new_session, stream, turn
from tests.api.sse import events
from tests.running import Running

SETTINGS = {"temperature": 0.5, "stop": ["x y"], "system_prompt": "Sei höflich. 丁寧に。"}


@pytest.fixture
def session(running: Running) -> str:
    """A chat with two branches, of which the older one is shown."""
    session = new_session(running, title='A/B "Ü" 日本', settings=SETTINGS)
    turn(session, "One. \0 \u200b 🙂", max_tokens=3)
    first = messages(session)[1]
    stream(f"{session}/messages/{first['id']}/regenerate", max_tokens=3)
    turn(session, "Two.", max_tokens=3)
    httpx.patch(session, json={"leaf_id": first["id"], "pinned": True})
    return session


def export(session: str) -> dict[str, Any]:
    response = httpx.get(session + "/export")
    assert response.status_code == 200
    file: dict[str, Any] = response.json()
    return file


def import_(running: Running, file: Any) -> httpx.Response:
    return httpx.post(running.url + "/api/sessions/import", json=file)


def test_a_chat_is_a_file_with_everything_in_it(session: str) -> None:
    response = httpx.get(session + "/export")
    assert "attachment" in response.headers["Content-Disposition"]
    assert "/" not in response.headers["Content-Disposition"].replace("UTF-8''", "")
    file = response.json()
    assert (file["format"], file["version"]) == ("appliance.chat", 1)
    assert file["metadata"]["exported_at"] > file["session"]["created_at"]
    known = httpx.get(session).json()
    assert file["session"] == {k: known[k] for k in known if k != "live_message_id"}
    plain = [{k: m[k] for k in m if k != "session_id"} for m in messages(session)]
    assert file["messages"] == plain


def test_a_deleted_chat_comes_back_from_its_file_as_it_was(running: Running, session: str) -> None:
    file, before = export(session), messages(session)
    id = file["session"]["id"]
    added = import_(running, file)
    assert added.status_code == 201
    copied = f"{running.url}{added.headers['Location']}"
    assert copied != session
    assert added.json() == httpx.get(copied).json()
    twin = export(copied)
    renamed = dict(zip([m["id"] for m in before], [m["id"] for m in twin["messages"]], strict=True))
    assert not set(renamed) & set(renamed.values())
    for message in file["messages"]:
        message["id"] = renamed[message["id"]]
        message["parent_id"] = message["parent_id"] and renamed[message["parent_id"]]
    file["session"] |= {
        "id": twin["session"]["id"],
        "leaf_id": renamed[file["session"]["leaf_id"]],
    }
    file["metadata"] = twin["metadata"]
    assert twin == file
    assert httpx.get(session).json()["id"] == id
    assert turn(copied, "And on?", max_tokens=3)[-1][0] == "done"
    assert messages(session) == before
    httpx.delete(copied)


def test_ids_that_are_free_stay(running: Running, session: str) -> None:
    file = export(session)
    file["session"]["id"] = "free-" + file["session"]["id"]
    for message in file["messages"]:
        message["id"] = "free-" + message["id"]
        message["parent_id"] = message["parent_id"] and "free-" + message["parent_id"]
    file["session"]["leaf_id"] = "free-" + file["session"]["leaf_id"]
    added = import_(running, file).json()
    assert added["id"] == file["session"]["id"]
    again = export(f"{running.url}/api/sessions/{added['id']}")
    assert {**again, "metadata": None} == {**file, "metadata": None}


def test_a_chat_that_is_being_answered_is_a_file_as_well(running: Running) -> None:
    session = new_session(running)
    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        for name, _ in events(response):
            if name == "delta":
                break
        file = export(session)
        httpx.post(session + "/stop")
    assert file["messages"][-1]["status"] == "streaming"
    added = import_(running, file).json()
    (_, reply) = messages(f"{running.url}/api/sessions/{added['id']}")
    assert (reply["status"], added["live_message_id"]) == ("interrupted", None)


BAD: list[tuple[list[Any], Any, str]] = [
    (["format"], "other", "format"),
    (["version"], 2, "version"),
    (["version"], "1", "version"),
    (["metadata"], None, "metadata"),
    (["extra"], 1, "extra"),
    (["session", "title"], "x" * 201, "session.title"),
    (["session", "pinned"], 1, "session.pinned"),
    (["session", "created_at"], -1, "session.created_at"),
    (["session", "id"], "ü", "session.id"),
    (["session", "id"], "", "session.id"),
    (["session", "leaf_id"], "none", "session.leaf_id"),
    (["session", "settings"], {"temperature": 3}, "session.settings.temperature"),
    (["session", "settings"], {"device": "tpu"}, "session.settings.device"),
    (["messages"], {}, "messages"),
    (["messages", 0, "role"], "tool", "messages[0].role"),
    (["messages", 0, "content"], 5, "messages[0].content"),
    (["messages", 0, "session_id"], "x", "messages[0].session_id"),
    (["messages", 1, "status"], "done", "messages[1].status"),
    (["messages", 1, "created_at"], 1.5, "messages[1].created_at"),
    (["messages", 1, "created_at"], 10**30, "messages[1].created_at"),
    (["messages", 1, "usage", "seed"], -1, "messages[1].usage.seed"),
    (["messages", 1, "usage", "decode_seconds"], "fast", "messages[1].usage.decode_seconds"),
    (["messages", 1, "error"], {"code": "x"}, "messages[1].error.message"),
    (["messages", 1, "parent_id"], "none", "messages[1].parent_id"),
    (["messages", 0, "parent_id"], "itself", "messages[0].parent_id"),
    (["messages", 2, "id"], "twice", "messages[2].id"),
]


@pytest.mark.parametrize(("place", "value", "param"), BAD, ids=[param for _, _, param in BAD])
def test_what_is_wrong_with_a_file_is_named_and_nothing_kept(
    running: Running, session: str, place: list[Any], value: Any, param: str
) -> None:
    file = export(session)
    if value == "itself":
        value = file["messages"][0]["id"]
    if value == "twice":
        value = file["messages"][0]["id"]
    parent: Any = file
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    before = httpx.get(running.url + "/api/sessions").json()
    refused = import_(running, file)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param
    assert httpx.get(running.url + "/api/sessions").json() == before


def test_a_field_that_is_missing_is_named(running: Running, session: str) -> None:
    file = export(session)
    for place in ("format", "version", "metadata", "session", "messages"):
        cut = copy.deepcopy(file)
        del cut[place]
        assert import_(running, cut).json()["error"]["param"] == place


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b"\xff", b'{"format": "appliance.chat"' + b"[" * 100_000]
)
def test_what_is_no_chat_is_refused(running: Running, body: bytes) -> None:
    refused = httpx.post(
        running.url + "/api/sessions/import",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert refused.status_code == 400


def test_half_a_surrogate_pair_is_refused(running: Running, session: str) -> None:
    body = json.dumps(export(session)).replace("Two.", "\\ud800")
    refused = httpx.post(
        running.url + "/api/sessions/import",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert refused.status_code == 400


def test_no_more_chats_than_the_configuration_allows(tmp_path: Any) -> None:
    appliance = Running(tmp_path, APPLIANCE_LIMITS_MAX_SESSIONS="2").start(ready=False)
    try:
        address = appliance.url + "/api/sessions"
        first = new_session(appliance)
        new_session(appliance)
        file = export(first)
        for refused in (httpx.post(address, json={}), import_(appliance, file)):
            assert refused.status_code == 409
            assert refused.json()["error"]["code"] == "too_many_sessions"
        httpx.delete(first)
        assert import_(appliance, file).status_code == 201
        assert len(httpx.get(address).json()["sessions"]) == 2
    finally:
        assert appliance.stop() == 0
