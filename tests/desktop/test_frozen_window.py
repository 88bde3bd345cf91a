"""The frozen window, as people get it: it opens, answers, and keeps keys in the keyring.

`make frozen` makes it and `make packages-test` runs this; FROZEN names another folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.auth.secret_service import run_with_keyring
from tests.desktop.desktop_app import Desk
from tests.desktop.screen import Screen
from tests.desktop.user_actions import BRIEF, close, is_answered, wait_drawn
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("FROZEN") or ROOT / "dist" / "appliance").absolute()
PROGRAM = FOLDER / "appliance"

pytestmark = pytest.mark.packages


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> None:
    if not PROGRAM.exists():
        pytest.skip(f"{PROGRAM} is not there: `make frozen` makes it")


@pytest.fixture
def desk(tmp_path: Path, screen: Screen) -> Iterator[Desk]:
    """Started, without a Python of this machine in its environment."""
    one = Desk(tmp_path, screen, command=[str(PROGRAM)], PATH="/usr/bin:/bin", **BRIEF).start()
    yield one
    one.end()


def test_a_question_is_answered_and_closing_ends_all(desk: Desk, screen: Screen) -> None:
    assert desk.wait_shown() == "gtk"
    window = desk.window()
    wait_drawn(screen, window)
    is_answered(desk, screen, window)

    assert desk.process
    ours = psutil.Process(desk.process.pid)
    everything = [ours, *ours.children(recursive=True)]
    webkit = [one for one in everything if "WebKit" in one.name()]
    assert webkit
    # Programs of the system must not find our libraries before their own.
    paths = [one.environ().get("LD_LIBRARY_PATH", "") for one in webkit]
    assert [one for one in paths if str(FOLDER) in one] == []
    assert {one.exe() for one in everything} - {one.exe() for one in webkit} == {str(PROGRAM)}

    close(desk, screen, window)
    wait_until(lambda: not any(map(alive, everything)), "something goes on")


def test_a_second_start_brings_the_first_window_forward(desk: Desk) -> None:
    desk.wait_shown()
    desk.minimize_and_start_again()


def alive(process: psutil.Process) -> bool:
    """Whether it still does something; not everywhere is there anybody to bury the dead."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


KEYS = """
import os, sys

def run(*arguments):
    environment = {**os.environ, "HOME": sys.argv[2], "APPLIANCE_SECURITY_VAULT": "keyring"}
    return subprocess.run(
        [sys.argv[1], "keys", *arguments],
        env=environment, check=True, capture_output=True, text=True, timeout=120,
    ).stdout

secret = run("create", "office").strip()
assert "office" in run("list")
with secretstorage.dbus_init() as bus:
    assert list(secretstorage.search_items(bus, {"service": "appliance"}))
for folder, _, files in os.walk(sys.argv[2]):
    for name in files:
        with open(os.path.join(folder, name), "rb") as content:
            assert secret.encode() not in content.read()
print(secret)
"""


def test_keys_lie_in_the_secret_service(tmp_path: Path) -> None:
    home = tmp_path / "person"
    home.mkdir(mode=0o700)
    assert run_with_keyring(KEYS, tmp_path / "home", str(PROGRAM), str(home)).strip()


def test_everything_that_is_read_is_inside() -> None:
    inside = FOLDER / "_internal"
    for name in ("appliance/models/catalog/catalog.json", "ui/dist/index.html", "icon.png"):
        assert (inside / name).is_file(), name
    # GTK is the system's; beside another one's libraries it would not work.
    names = {file.name.partition(".so")[0] for file in inside.rglob("*.so*")}
    assert not names & {"libgtk-3", "libglib-2", "libwebkit2gtk-4.1", "libstdc++", "libffi"}
