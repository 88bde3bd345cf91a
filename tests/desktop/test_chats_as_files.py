"""The page in its window: a chat goes into a file where the person says, and comes out of one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.desktop import overheard
from tests.desktop.desk import Desk
from tests.desktop.hands import BRIEF, is_answered
from tests.desktop.screen import Screen
from tests.desktop.test_bridge import choose
from tests.waiting import wait_until


def choose_until(done: Callable[[], object], screen: Screen, file: Path) -> None:
    """Name the file in the dialog until it is taken: on a busy machine keys get lost, and then one
    presses them again.
    """
    choose(screen, file, "ctrl+a")
    for _ in range(4):
        try:
            return wait_until(done, "not yet", 10)
        except AssertionError:
            screen.press("ctrl+a")
            screen.type(str(file))
            screen.press("Return")
    pytest.fail("the dialog takes no file")


@pytest.mark.parametrize("heard_desk", [BRIEF], ids=["brief"], indirect=True)
def test_a_chat_is_exported_and_imported(
    heard_desk: Desk, screen: Screen, engine: str, tmp_path: Path
) -> None:
    desk, page, file = heard_desk, tmp_path / "page.jsonl", tmp_path / "chat.json"
    desk.wait_shown()
    is_answered(desk, screen, desk.window())
    (reply,) = desk.replies()

    overheard.press(page, "Actions for chat")
    overheard.press(page, "Export")
    choose_until(file.exists, screen, file)
    assert json.dumps(reply["content"])[1:-1] in json.dumps(json.loads(file.read_text("utf-8")))

    if engine == "gtk":
        # Its list of files takes keys in an order that no test on a busy machine can rely on.
        return
    overheard.press(page, "Import a chat")
    choose_until(lambda: len(desk.replies()) == 2, screen, file)
    assert [one["content"] for one in desk.replies()] == [reply["content"]] * 2
