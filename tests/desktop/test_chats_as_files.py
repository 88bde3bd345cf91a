"""The page in its window: a chat is exported to a file the user chooses, and imported."""

import json
from pathlib import Path

import pytest

from tests.desktop import page_recorder
from tests.desktop.desktop_app import Desk
from tests.desktop.screen import Screen
from tests.desktop.user_actions import BRIEF, choose, is_answered


@pytest.mark.parametrize("recorded_app", [BRIEF], ids=["brief"], indirect=True)
def test_a_chat_is_exported_and_imported(
    recorded_app: Desk, screen: Screen, tmp_path: Path
) -> None:
    desk, page, file = recorded_app, tmp_path / "page.jsonl", tmp_path / "chat.json"
    desk.wait_shown()
    is_answered(desk, screen, desk.window())
    (reply,) = desk.replies()

    page_recorder.press(page, "Actions for chat")
    page_recorder.press(page, "Export as JSON")
    choose(file.exists, screen, file)
    assert json.dumps(reply["content"])[1:-1] in json.dumps(json.loads(file.read_text("utf-8")))

    page_recorder.press(page, "More")
    page_recorder.press(page, "Import chats")
    choose(lambda: len(desk.replies()) == 2, screen, file)
    assert [one["content"] for one in desk.replies()] == [reply["content"]] * 2
