"""What a person does in a window: asks, reads the answer, closes it."""

import pytest

from tests.desktop.desk import Desk
from tests.desktop.screen import Screen
from tests.waiting import wait_until

BRIEF = {"APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS": "100"}
"""Where an answer is waited for: a small model may go on and on."""
LONG = {"APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS": "500"}
"""Where it is interrupted before its end."""


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


def close(desk: Desk, screen: Screen, window: str) -> None:
    """By the keyboard; the program ends well."""
    screen.do("windowfocus", "--sync", window)
    screen.press("alt+F4")
    wait_until(desk.gone, f"the window does not close: {desk.tail()}")
    assert desk.process and desk.process.returncode == 0
