"""The page in its window: a chat goes into a file where the person says, and comes out of one."""

import json
from pathlib import Path

import pytest

from tests.desktop import overheard
from tests.desktop.desk import Desk
from tests.desktop.hands import BRIEF, choose, is_answered
from tests.desktop.screen import Screen


@pytest.mark.parametrize("heard_desk", [BRIEF], ids=["brief"], indirect=True)
def test_a_chat_is_exported_and_imported(heard_desk: Desk, screen: Screen, tmp_path: Path) -> None:
    desk, page, file = heard_desk, tmp_path / "page.jsonl", tmp_path / "chat.json"
    desk.wait_shown()
    is_answered(desk, screen, desk.window())
    (reply,) = desk.replies()

    overheard.press(page, "Actions for chat")
    overheard.press(page, "Export")
    choose(file.exists, screen, file)
    assert json.dumps(reply["content"])[1:-1] in json.dumps(json.loads(file.read_text("utf-8")))

    overheard.press(page, "Import a chat")
    choose(lambda: len(desk.replies()) == 2, screen, file)
    assert [one["content"] for one in desk.replies()] == [reply["content"]] * 2
