"""A window or browser always opens, with engines that fail, show nothing, or are missing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.desktop.webview_backends import BROWSER, Backend, fallback_order, installed
from tests.desktop.desktop_app import Desk
from tests.desktop.screen import Screen
from tests.running import apart
from tests.waiting import wait_until


def test_what_worked_is_tried_first() -> None:
    both = ["gtk", "qt"]
    assert [one.name for one in fallback_order(both)] == [
        "gtk",
        "gtk, software",
        "qt",
        "qt, software",
    ]
    assert fallback_order(both, "qt, software")[0] == Backend("qt", software=True)
    assert len(fallback_order(both, "qt, software")) == 4
    assert fallback_order(["native"]) == [Backend("native")]


def test_the_browser_stays_until_there_is_another_engine() -> None:
    assert fallback_order(["gtk"], BROWSER, ["gtk"]) == []
    assert [one.engine for one in fallback_order(["gtk", "qt"], BROWSER, ["gtk"])][::2] == [
        "gtk",
        "qt",
    ]


def test_an_engine_that_fails_is_passed_over_and_that_is_remembered(
    tmp_path: Path, screen: Screen
) -> None:
    if installed() != ["gtk", "qt"]:
        pytest.skip("both engines of a window are needed: `make window`")
    desk = Desk(tmp_path, screen, GDK_BACKEND="none").start()
    assert desk.wait_shown() == "qt"
    assert "no page with gtk, software" in desk.output()
    window = desk.window()
    assert screen.windows() == [window]
    assert desk.end() == 0
    assert Desk(tmp_path, screen).memory()["rung"] == "qt"


NO_SCREEN = {"GDK_BACKEND": "none", "QT_QPA_PLATFORM": "none"}
"""A setting that makes both engines fail."""


def test_engines_that_fail_leave_the_browser(
    tmp_path: Path, screen: Screen, browser_log: Path
) -> None:
    desk = Desk(tmp_path, screen, **NO_SCREEN).start()
    wait_until(browser_log.exists, f"no browser: {desk.tail()}")
    assert browser_log.read_text().startswith(desk.service()["url"])
    assert not screen.windows()
    assert desk.again() == 0
    wait_until(lambda: len(browser_log.read_text().split()) == 2, "not opened again")
    assert desk.end() == 0
    assert desk.memory()["rung"] == BROWSER
    desk.start()
    wait_until(lambda: len(browser_log.read_text().split()) == 3, "not at once the next time")
    assert "no page with" not in desk.output().rpartition("No window can be shown")[2]
    assert desk.end() == 0


def test_an_engine_that_was_late_is_tried_again_the_next_time(
    tmp_path: Path, screen: Screen, browser_log: Path, engine: str
) -> None:
    desk = Desk(tmp_path, screen, rung=engine).start(patience="0.01")
    wait_until(browser_log.exists, f"no browser: {desk.tail()}")
    assert browser_log.read_text().startswith(desk.service()["url"])
    assert not screen.windows()
    assert desk.end() == 0
    assert desk.memory()["rung"] == engine
    assert desk.start().wait_shown() == engine
    assert screen.windows() == [desk.window()]
    assert desk.end() == 0


def test_what_an_older_version_gave_up_for_being_late_is_tried_again() -> None:
    """Older versions stored which engines they had tried, but not the outcome."""
    assert len(fallback_order(["gtk"], BROWSER)) == 2


def test_without_libraries_for_a_window_it_says_where_it_is(
    tmp_path: Path, screen: Screen, browser_log: Path
) -> None:
    without = "import sys; sys.modules['webview'] = None; import appliance.__main__ as a; a.main()"
    desk = Desk(tmp_path, screen, command=[sys.executable, "-c", without]).start()
    wait_until(browser_log.exists, f"no browser: {desk.tail()}")
    assert f"The appliance is at {desk.service()['url']}" in desk.output()
    desk.wait_ready()
    assert not screen.windows()
    assert desk.end() == 0


def test_without_a_screen_it_serves_and_says_where(tmp_path: Path) -> None:
    environment = apart(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    service = subprocess.Popen(
        [sys.executable, "-m", "appliance"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert service.stdout
    assert "http://127.0.0.1:" in service.stdout.readline()
    service.send_signal(signal.SIGTERM)
    assert service.wait(60) == 0
    service.stdout.close()


def test_wrong_settings_are_reported_and_no_window_opens(tmp_path: Path, screen: Screen) -> None:
    desk = Desk(tmp_path, screen, APPLIANCE_SERVER_PORT="many").start()
    assert desk.process and desk.process.wait(60) == 78
    assert "server.port" in desk.tail()
