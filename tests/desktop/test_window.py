"""Real windows, on a real screen that nobody sees, with both engines."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.desktop import page_recorder
from tests.desktop.desktop_app import Desk
from tests.desktop.screen import Screen
from tests.desktop.user_actions import BRIEF, LONG, ask, close, is_answered, put, wait_drawn
from tests.running import Running
from tests.waiting import wait_until

PAGE_BACKGROUNDS = {"#17181b", "#fdfdfb"}
"""In a dark and in a light theme; which one it is, the desktop says."""
WARNINGS = {"#e2b76b", "#8a5a00"}
"""The same of what is not as it should be."""


@pytest.fixture
def desk(
    request: pytest.FixtureRequest, tmp_path: Path, screen: Screen, engine: str
) -> Iterator[Desk]:
    """Started, with settings if there are any; what is left of it is ended."""
    one = Desk(tmp_path, screen, rung=engine, **getattr(request, "param", {})).start()
    yield one
    one.end()


@pytest.mark.parametrize("desk", [BRIEF], ids=["brief"], indirect=True)
def test_a_question_is_answered_and_closing_ends_all(
    desk: Desk, screen: Screen, engine: str
) -> None:
    assert desk.wait_shown() == engine
    window = desk.window()
    wait_drawn(screen, window)
    colours = screen.colours(window)
    assert max(colours, key=lambda one: colours[one]) in PAGE_BACKGROUNDS
    is_answered(desk, screen, window)
    service = psutil.Process(desk.service()["pid"])
    close(desk, screen, window)
    assert not service.is_running()
    assert not (desk.data / "service.json").exists()


def test_a_window_that_is_closed_while_the_service_starts_ends_all(
    desk: Desk, screen: Screen
) -> None:
    assert desk.process
    launcher = psutil.Process(desk.process.pid)

    def services() -> list[psutil.Process]:
        return [one for one in launcher.children() if "serve" in one.cmdline()]

    wait_until(services, "no service is started")
    (service,) = services()
    service.suspend()
    try:
        window = desk.window()
        screen.do("windowfocus", "--sync", window)
        screen.press("alt+F4")
        wait_until(lambda: not screen.windows(), "the window does not close")
    finally:
        service.resume()
    wait_until(desk.gone, "the launcher goes on")
    assert desk.process.returncode == 0
    assert not service.is_running()
    assert not (desk.data / "service.json").exists()


def test_a_window_on_a_service_that_runs_leaves_it_running(
    tmp_path: Path, screen: Screen, engine: str
) -> None:
    service = Running(tmp_path).start()
    desk = Desk(tmp_path, screen, rung=engine).start()
    try:
        assert desk.wait_shown() == engine
        assert desk.service()["pid"] == service.pid
        screen.do("windowfocus", "--sync", desk.window())
        screen.press("alt+F4")
        wait_until(desk.gone, "the window does not close")
    finally:
        desk.end()
    assert desk.process and desk.process.returncode == 0
    assert httpx.get(service.url + "/readiness").status_code == 200
    assert service.stop() == 0


def test_a_launcher_that_is_stopped_while_it_starts_ends(desk: Desk) -> None:
    desk.window()
    assert desk.end() == 0
    assert not (desk.data / "service.json").exists()


def test_a_second_start_brings_the_first_window_forward_or_back_and_the_next_as_it_was(
    desk: Desk, screen: Screen
) -> None:
    desk.wait_shown()
    window = desk.window()
    other = psutil.Popen(["xev"], env=os.environ | screen.environment, stdout=-3)
    try:
        wait_until(lambda: screen.windows("Event Tester"), "no other window")
        (front,) = screen.windows("Event Tester")
        screen.do("windowactivate", "--sync", front)
        assert screen.active() == front
        assert desk.again() == 0
        wait_until(lambda: screen.active() == window, "it does not come to the front")
        assert screen.windows() == [window]
    finally:
        other.kill()
        other.wait()
    desk.minimize_and_start_again()
    size_and_place_are_as_they_were(desk, screen)


def size_and_place_are_as_they_were(desk: Desk, screen: Screen) -> None:
    """After the next start."""
    window = desk.window()
    screen.do("windowsize", "--sync", window, "800", "600")
    screen.do("windowmove", "--sync", window, "200", "150")
    wait_until(lambda: screen.geometry(window)["WIDTH"] == 800, "it keeps its size")
    before = screen.geometry(window)
    screen.do("windowfocus", "--sync", window)
    screen.press("alt+F4")
    wait_until(desk.gone, "the window does not close")
    desk.start()
    wait_until(screen.windows, "no window")
    again = desk.window()
    wait_until(
        lambda: all(
            abs(screen.geometry(again)[side] - before[side]) <= 2 for side in ("WIDTH", "HEIGHT")
        ),
        f"not {before}: {screen.geometry(again)}",
        30,
    )
    # A frame's width more or less is the window manager's affair.
    after = screen.geometry(again)
    assert abs(after["X"] - before["X"]) < 40 and abs(after["Y"] - before["Y"]) < 40


@pytest.mark.parametrize("recorded_app", [LONG], ids=["long"], indirect=True)
def test_a_killed_service_is_missed_started_again_and_the_page_goes_on(
    recorded_app: Desk, screen: Screen, engine: str, tmp_path: Path
) -> None:
    desk = recorded_app

    def shows(text: str) -> bool:
        return text in (page_recorder.recorded_texts(tmp_path / "page.jsonl") or [""])[-1]

    assert desk.wait_shown() == engine
    desk.wait_ready()
    window = desk.window()
    put(desk, screen, window, "Tell me a very long story about the sea, with many chapters.")
    wait_until(lambda: any(reply["content"] for reply in desk.replies()), "no reply is written")
    url, killed = desk.service()["url"], desk.service()["pid"]
    assert desk.process
    # Whoever starts it again has to wait, so that there is time to look.
    desk.process.send_signal(signal.SIGSTOP)
    try:
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: shows("The server can’t be reached."), "it does not say so")
        wait_until(lambda: shows("The connection was lost. Reconnecting"), "nor that")
        # Drawn, too: the sign before it has a colour that nothing else has.
        wait_until(
            lambda: WARNINGS & set(screen.colours(window)),
            f"not drawn: {screen.picture(tmp_path / 'away.png')}",
        )
    finally:
        desk.process.send_signal(signal.SIGCONT)
    wait_until(lambda: desk.is_served_by_another(killed), "no other service")
    assert desk.service()["url"] == url
    desk.wait_ready()
    wait_until(lambda: shows("Interrupted: the appliance stopped in the middle"), "it is not back")
    wait_until(lambda: not shows("The server can’t be reached."), "it still says so")
    assert [reply["status"] for reply in desk.replies()] == ["interrupted"]

    def answered() -> bool:
        return any(reply["status"] == "complete" for reply in desk.replies())

    for _ in range(5):
        ask(screen, window, "Hello?")
        try:
            wait_until(answered, "not yet", 15)
            break
        except AssertionError:
            screen.press("ctrl+a")
    assert answered(), screen.picture(tmp_path / "screen.png")


def test_closing_asks_while_a_reply_is_written(
    desk: Desk, screen: Screen, engine: str, tmp_path: Path
) -> None:
    desk.wait_shown()
    desk.wait_ready()
    window = desk.window()
    put(desk, screen, window, "Tell me a very long story about the sea, with many chapters.")
    wait_until(
        lambda: any(r["status"] == "streaming" for r in desk.replies()),
        f"no reply, see {tmp_path}; {desk.replies()}",
    )

    def close_and(key: str, done: Callable[[], object]) -> None:
        """Close the window, and answer its question by the keyboard; on a busy machine keys get
        lost, and then one presses them again."""
        if not any(reply["status"] == "streaming" for reply in desk.replies()):
            ask(screen, window, "And another long story, please, about the stars.")
            wait_until(lambda: any(r["status"] == "streaming" for r in desk.replies()), "no reply")
        screen.do("windowfocus", "--sync", window)
        screen.press("alt+F4")
        wait_until(is_asked, "nobody asks")
        for _ in range(5):
            screen.press(key)
            with contextlib.suppress(AssertionError):
                return wait_until(done, "not yet", 10)
        pytest.fail(f"nobody minds {key}")

    def is_asked() -> bool:
        colours = screen.colours(window)
        return max(colours, key=lambda one: colours[one]) not in PAGE_BACKGROUNDS

    def is_closed() -> bool:
        return desk.gone() or not screen.windows()

    close_and("Escape", lambda: not is_asked())
    wait_drawn(screen, window)
    assert screen.windows() == [window]
    assert not desk.gone()

    service = desk.service()
    close_and("Return", is_closed)  # keep writing
    wait_until(desk.gone, "the service goes on")
    assert desk.process and desk.process.returncode == 0
    assert not psutil.pid_exists(service["pid"])
    desk.start()
    wait_until((desk.data / "service.json").exists, "it does not start")
    desk.wait_ready()
    assert desk.replies()[-1]["status"] == "complete"
