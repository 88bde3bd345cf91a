"""Folders, drafts, recently deleted chats, and the list by changes, over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.chat.chats import messages, new_session, settled
from tests.running import WITHOUT_MODEL, Running
from tests.store.test_deleted import found_in
from tests.waiting import wait_until

SECRET = "Heidelbeerkuchen"


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("organizing"), command=WITHOUT_MODEL).start()
    yield running
    running.stop()


def ask(appliance: Running, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    response = httpx.request(method, f"{appliance.url}{path}", json=body, timeout=60)
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def say(session: str, content: str) -> None:
    httpx.post(f"{session}/turns", json={"content": content}, timeout=60).raise_for_status()
    settled(session)


def test_a_new_chat_in_a_folder_begins_with_its_settings(appliance: Running) -> None:
    settings = {"system_prompt": "You know every train.", "temperature": 0.3}
    body = {"name": "Travel", "settings": settings}
    folder = ask(appliance, "POST", "/api/folders", body, 201)
    chat = ask(
        appliance,
        "POST",
        "/api/sessions",
        {"folder_id": folder["id"], "settings": {"temperature": 0.9}},
        201,
    )
    assert chat["folder_id"] == folder["id"]
    assert chat["settings"]["system_prompt"] == "You know every train."
    assert chat["settings"]["temperature"] == 0.9, "what the chat says itself comes first"
    path = f"/api/sessions/{chat['id']}"
    assert "folder_id" not in ask(appliance, "PATCH", path, {"folder_id": None})
    assert ask(appliance, "PATCH", path, {"folder_id": folder["id"]})["folder_id"] == folder["id"]
    for method, where in (("POST", "/api/sessions"), ("PATCH", path)):
        error = ask(appliance, method, where, {"folder_id": "nowhere"}, 404)["error"]
        assert error["param"] == "folder_id"
    error = ask(appliance, "POST", "/api/folders", {"name": "a", "colour": "red"}, 400)["error"]
    assert "colour" in error["message"]
    ask(appliance, "DELETE", f"/api/folders/{folder['id']}?chats=delete", status=204)
    ask(appliance, "GET", path, status=404)
    assert "folder_id" not in ask(appliance, "POST", f"{path}/restore")
    ask(appliance, "GET", f"/api/folders/{folder['id']}", status=404)


def test_what_changed_is_sent_and_not_the_list(appliance: Running) -> None:
    for number in range(40):
        new_session(appliance, title=f"One of many chats, number {number}")
    first = ask(appliance, "GET", "/api/sessions?limit=10")
    assert first["whole"] and first["more"] and len(first["sessions"]) == 10
    rest = f"/api/sessions?limit=1000&after={first['sessions'][-1]['id']}"
    ids = [one["id"] for one in [*first["sessions"], *ask(appliance, "GET", rest)["sessions"]]]
    everything = ask(appliance, "GET", "/api/sessions")
    assert ids == [one["id"] for one in everything["sessions"]]
    since = f"/api/sessions?since={everything['revision']}"
    assert len(httpx.get(appliance.url + since).content) < 150
    ask(appliance, "PATCH", f"/api/sessions/{ids[20]}", {"title": "Other"})
    news = httpx.get(appliance.url + since)
    assert [one["title"] for one in news.json()["sessions"]] == ["Other"]
    assert len(news.content) < 600
    ask(appliance, "GET", "/api/sessions?limit=0", status=400)
    ask(appliance, "GET", "/api/sessions?after=nowhere", status=404)


def test_messages_come_by_pages(appliance: Running) -> None:
    session = new_session(appliance)
    for number in range(4):
        say(session, f"Number {number}")
    everything = messages(session)
    path = session.removeprefix(appliance.url) + "/messages?limit=3"
    newest = ask(appliance, "GET", path)
    assert newest == {"messages": everything[-3:], "more": True}
    older = ask(appliance, "GET", f"{path}&before={everything[-3]['id']}")
    assert older["messages"] == everything[-6:-3]


def test_a_deleted_chat_is_in_its_place_until_it_is_removed_for_good(appliance: Running) -> None:
    session = new_session(appliance, title="Doomed")
    say(session, f"How is {SECRET} made?")
    ask(appliance, "PUT", "/api/drafts", {"session_id": session[-36:], "text": SECRET}, 204)
    ask(appliance, "DELETE", f"/api/deleted/{session[-36:]}", status=404)
    httpx.delete(session).raise_for_status()
    deleted = ask(appliance, "GET", "/api/deleted")
    assert deleted["keep_seconds"] == 30 * 24 * 3600
    assert ("Doomed", False) in [(one["title"], one["expired"]) for one in deleted["sessions"]]
    assert found_in(appliance.data, (SECRET,))
    ask(appliance, "DELETE", f"/api/deleted/{session[-36:]}", status=204)
    wait_until(lambda: not found_in(appliance.data, (SECRET,)), "its words are still there")
    ask(appliance, "POST", f"/api/sessions/{session[-36:]}/restore", status=404)
    for _ in range(2):
        httpx.delete(new_session(appliance)).raise_for_status()
    ask(appliance, "DELETE", "/api/deleted", status=204)
    assert ask(appliance, "GET", "/api/deleted")["sessions"] == []


def test_all_chats_are_exported_in_one_file_that_can_be_imported(appliance: Running) -> None:
    session = new_session(appliance, title="Kept")
    say(session, "Hello")
    some = ask(appliance, "POST", "/api/export", {"session_ids": [session[-36:], "nowhere"]})
    assert [chat["session"]["title"] for chat in some["chats"]] == ["Kept"]
    assert len(some["chats"][0]["messages"]) == 2
    everything = ask(appliance, "POST", "/api/export")
    count = len(ask(appliance, "GET", "/api/sessions")["sessions"])
    assert len(everything["chats"]) == count > 1
    report = httpx.post(
        f"{appliance.url}/api/import?name=chats.json",
        content=json.dumps(some),
        headers={"Content-Type": "application/octet-stream"},
    ).json()
    assert [one["title"] for one in report["imported"]] == ["Kept"]
    assert report["failed"] == []
    copied = f"{appliance.url}/api/sessions/{report['imported'][0]['id']}"
    assert [m["content"] for m in messages(copied)] == [m["content"] for m in messages(session)]


def test_drafts_and_folders_outlive_a_restart_and_are_each_keys_own(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path,
        command=WITHOUT_MODEL,
        APPLIANCE_SECURITY_ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
    ).start()
    keys = {
        name: {"Authorization": f"Bearer {appliance.make_key(name)}"} for name in ("ann", "bob")
    }
    address = appliance.url + "/api"
    body = {"text": "Dear all"}
    httpx.put(f"{address}/drafts", json=body, headers=keys["ann"]).raise_for_status()
    body = {"name": "Letters"}
    folder = httpx.post(f"{address}/folders", json=body, headers=keys["ann"]).json()["id"]
    assert appliance.stop() == 0
    appliance.start()
    assert httpx.get(f"{address}/drafts", headers=keys["ann"]).json()["drafts"] == {"": "Dear all"}
    assert httpx.get(f"{address}/drafts", headers=keys["bob"]).json()["drafts"] == {}
    assert httpx.get(f"{address}/folders", headers=keys["bob"]).json()["folders"] == []
    refused = httpx.delete(f"{address}/folders/{folder}", headers=keys["bob"])
    assert refused.status_code == 404
    assert len(httpx.get(f"{address}/folders", headers=keys["ann"]).json()["folders"]) == 1
    assert appliance.stop() == 0
