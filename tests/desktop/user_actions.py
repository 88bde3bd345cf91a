"""What a person does in a window: asks, reads the answer, closes it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.desktop.desktop_app import Desk
from tests.desktop.screen import Screen
from tests.waiting import wait_until

BRIEF = {"APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS": "100"}
"""Where an answer is waited for: a small model may go on and on."""
LONG = {"APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS": "500"}
"""Where it is interrupted before its end."""


def prefers_to_type(config: Path) -> dict[str, str]:
    """Settings of somebody whose dialogs begin with a field for the file's name, not with a list.

    Args:
        config: the folder that such settings lie in.
    """
    keys = config / "glib-2.0" / "settings" / "keyfile"
    keys.parent.mkdir(parents=True, exist_ok=True)
    keys.write_text(
        "[org/gtk/settings/file-chooser]\nlocation-mode='filename-entry'\nstartup-mode='cwd'\n"
    )
    return {"GSETTINGS_BACKEND": "keyfile", "XDG_CONFIG_HOME": str(config)}


def ask(screen: Screen, window: str, question: str) -> None:
    """Type a question into the page and send it."""
    size = screen.geometry(window)
    screen.do("windowfocus", "--sync", window)
    screen.click(window, size["WIDTH"] // 2 + 130, size["HEIGHT"] - 68)
    screen.type(question)
    screen.press("Return")


def put(desk: Desk, screen: Screen, window: str, question: str) -> None:
    """The same until it has been sent: a key that is pressed while a window is still getting the
    keyboard may get lost, and then one presses it again.
    """
    for _ in range(5):
        ask(screen, window, question)
        try:
            return wait_until(desk.replies, "not sent", 15)
        except AssertionError:
            screen.press("ctrl+a")
    pytest.fail("the question cannot be sent")


def wait_drawn(screen: Screen, window: str) -> None:
    """Until there is text in the window, which has many shades."""
    wait_until(lambda: len(screen.colours(window)) > 50, "nothing is drawn", 30)


def is_answered(desk: Desk, screen: Screen, window: str) -> None:
    """A question, and the whole answer."""
    desk.wait_ready()
    put(desk, screen, window, "What is the capital of France?")
    picture = desk.data.parent / "screen.png"
    try:
        wait_until(
            lambda: any(reply["status"] == "complete" for reply in desk.replies()),
            f"no answer: {picture}",
        )
    finally:
        screen.picture(picture)
    assert desk.replies()[0]["content"]


def wait_for_dialog(screen: Screen) -> None:
    """A dialog takes keys a moment after it is there, which nothing outside it can see."""
    wait_until(lambda: screen.active() not in ["", *screen.windows()], "no dialog in front")
    time.sleep(1)


def choose(done: Callable[[], object], screen: Screen, file: Path) -> None:
    """Name the file in the dialog that opens until it is taken: on a busy machine keys get lost,
    and then one presses them again.
    """
    wait_for_dialog(screen)
    for _ in range(5):
        screen.press("ctrl+a")
        screen.type(str(file))
        screen.press("Return")
        try:
            return wait_until(done, "not yet", 10)
        except AssertionError:
            continue
    pytest.fail("the dialog takes no file")


def close(desk: Desk, screen: Screen, window: str) -> None:
    """By the keyboard; the program ends well."""
    screen.do("windowfocus", "--sync", window)
    screen.press("alt+F4")
    wait_until(desk.gone, f"the window does not close: {desk.tail()}")
    assert desk.process and desk.process.returncode == 0
