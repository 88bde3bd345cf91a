"""A virtual screen with a window manager, and the appliance's window on it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import xvfb
from appliance.desktop import webview_backends
from tests.desktop import page_recorder
from tests.desktop.desktop_app import Desk
from tests.desktop.screen import Screen
from tests.desktop.user_actions import prefers_to_type

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "Xvfb": "xvfb",
    "openbox": "openbox",
    "xdotool": "xdotool",
    "import": "imagemagick",
    "xev": "x11-utils",
}


@pytest.fixture(scope="session")
def screen() -> Iterator[Screen]:
    """One screen for all tests; they close their windows."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: install the Debian package `{package}`")
    with xvfb.screen() as display:
        manager = subprocess.Popen(
            ["openbox"], env=os.environ | {"DISPLAY": display}, stderr=subprocess.DEVNULL
        )
        yield Screen(display)
        manager.terminate()
        manager.wait(30)


@pytest.fixture(params=["gtk", "qt"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each web engine in turn."""
    name: str = request.param
    if name not in webview_backends.installed():
        what = {
            "gtk": "GTK's web view is missing: Debian's gir1.2-webkit2-4.1, and `make window`",
            "qt": "Qt's web view is missing: `make window`",
        }
        pytest.skip(what[name])
    return name


@pytest.fixture
def browser_log(tmp_path: Path) -> Path:
    """What a "browser" was asked to open, a line each; `BROWSER` names it."""
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/opened"\n')
    script.chmod(0o755)
    return tmp_path / "opened"


@pytest.fixture
def recorded_app(
    request: pytest.FixtureRequest, tmp_path: Path, screen: Screen, engine: str
) -> Iterator[Desk]:
    """A started appliance, with settings if any; its page's text is recorded in `page.jsonl`."""
    command = [sys.executable, page_recorder.__file__, str(tmp_path / "page.jsonl")]
    settings = {
        "PYTHONPATH": str(ROOT),
        **prefers_to_type(tmp_path / "config"),
        **getattr(request, "param", {}),
    }
    one = Desk(tmp_path, screen, rung=engine, command=command, **settings).start()
    yield one
    one.end()
