"""`appliance import`, with a service and without one, and the page's import."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx

from tests.chat.importers import samples
from tests.running import WITHOUT_MODEL, Running


def sessions(appliance: Running) -> list[Any]:
    found: list[Any] = httpx.get(appliance.url + "/api/sessions").json()["sessions"]
    return found


def test_chats_are_imported_without_a_service_and_with_one(
    tmp_path: Path,
) -> None:
    appliance = Running(tmp_path / "appliance", command=WITHOUT_MODEL)
    theirs = tmp_path / "sessions.json"
    theirs.write_bytes(samples.text(samples.original_json()))
    chats = tmp_path / "conversations.json"
    chats.write_bytes(samples.text(samples.chatgpt()))
    bad = tmp_path / "bad.json"
    bad.write_text("{", encoding="utf-8")

    made = appliance.command("import", str(theirs), "--json")
    assert made.returncode == 0, made.stderr
    assert len(json.loads(made.stdout)["imported"]) == 2

    appliance.start()
    mixed = appliance.command("import", str(bad), str(theirs), str(chats))
    assert mixed.returncode == 1
    assert mixed.stdout == "2 chats imported, 2 were here already\n"
    assert mixed.stderr.splitlines() == [
        "bad.json: it is not JSON: Input data was truncated",
        "conversations.json: the conversation 'Broken' has no messages",
    ]
    assert len(sessions(appliance)) == 4
    for name in samples.original_json():
        assert name in httpx.get(appliance.url + "/sessions").json()
    found = httpx.get(appliance.url + "/chat/history/my%20chat").json()
    assert found == samples.original_json()["my chat"]

    # The page sends files as they are.
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("conversations.json", samples.text(samples.open_webui()))
        archive.writestr("bad.json", "{")
    for name, body, type_ in (
        ("all.zip", packed.getvalue(), "application/zip"),
        ("claude.json", samples.text(samples.claude()), "application/json"),
    ):
        address = f"{appliance.url}/api/import?name={name}"
        answer = httpx.post(address, content=body, headers={"Content-Type": type_})
        assert answer.status_code == 200, answer.text
        assert [chat["title"] for chat in answer.json()["imported"]] == ["Bread"]
    form = {"Content-Type": "text/plain"}
    refused = httpx.post(appliance.url + "/api/import", content=packed.getvalue(), headers=form)
    assert refused.status_code == 415

    # Our own export comes in as another chat, with all that it had.
    ours = httpx.get(f"{appliance.url}/api/sessions/{sessions(appliance)[0]['id']}/export").content
    json_type = {"Content-Type": "application/json"}
    again = httpx.post(appliance.url + "/api/import", content=ours, headers=json_type).json()
    assert len(again["imported"]) == 1
    copy = httpx.get(f"{appliance.url}/api/sessions/{again['imported'][0]['id']}/export").json()
    original = json.loads(ours)
    assert [m["content"] for m in copy["messages"]] == [m["content"] for m in original["messages"]]
    assert appliance.stop() == 0
