"""The window's packages on a machine that has nothing else: each is installed, opens, and answers.

The screen is one of this machine, and so are the hands. `make packages` makes the packages and
`make packages-test` runs this.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desktop.desktop_app import Desk
from tests.desktop.screen import Screen
from tests.desktop.user_actions import BRIEF, close, is_answered, wait_drawn
from tests.packaging.bare_machine import Machine, make_base
from tests.packaging.built_packages import newest

GTK = ["gir1.2-webkit2-4.1", "libgirepository-1.0-1", "libcairo-gobject2"]
"""What the .deb depends on, for packages that cannot say so to Debian's tools."""
RPM = ["rpm", "--force-debian", "--nodeps"]
AS_PERSON = ["runuser", "-u", "person", "--", "env", "HOME=/home/person"]
PLACES = [
    "usr/bin/appliance",
    "usr/lib/appliance/appliance",
    "usr/share/applications/org.appliance.Appliance.desktop",
    "usr/share/metainfo/org.appliance.Appliance.metainfo.xml",
    "usr/share/icons/hicolor/scalable/apps/org.appliance.Appliance.svg",
    "usr/share/man/man1/appliance.1.gz",
    "usr/share/bash-completion/completions/appliance",
]

pytestmark = pytest.mark.packages


class House:
    """A machine, and a folder that it has in common with this one."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.shared = folder / "shared"
        self.shared.mkdir()

    def desk(self, name: str, screen: Screen, program: str) -> Desk:
        """A desk of an ordinary user inside, called `person`."""
        folder = self.shared / name
        folder.mkdir()
        (folder / "tmp").mkdir()
        command = self.machine.inside("runuser", "-u", "person", "--", program)
        desk = Desk(
            folder,
            screen,
            command=command,
            PATH="/usr/sbin:/usr/bin:/sbin:/bin",
            HOME="/home/person",
            TMPDIR=str(folder / "tmp"),
            XDG_RUNTIME_DIR=str(folder / "tmp"),
            **BRIEF,
        )
        self.machine.run("chown", "-R", "person:person", str(folder))
        return desk


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Booted, with a person; the packages follow each other there."""
    make_base()
    one = House(tmp_path_factory.mktemp("house"))
    try:
        one.machine.boot(one.shared)
        one.machine.run("useradd", "--create-home", "person")
        yield one
    finally:
        one.machine.end()


def opens_and_answers(desk: Desk, screen: Screen) -> None:
    """As a person has it: the page is drawn, a question is answered, closing ends all."""
    desk.start()
    try:
        assert desk.wait_shown() == "gtk"
        window = desk.window()
        wait_drawn(screen, window)
        is_answered(desk, screen, window)
        close(desk, screen, window)
    finally:
        desk.end()


def test_the_deb_brings_what_it_needs(house: House, screen: Screen) -> None:
    machine = house.machine
    for absent in ("python3", "cc", "gcc"):
        assert machine.try_run("sh", "-c", f"command -v {absent}").returncode != 0
    before = machine.ours()
    machine.get(machine.take(newest("appliance_*.deb")))
    assert [one for one in PLACES if not (machine.root / one).is_file()] == []
    assert "window by gtk" in machine.run(*AS_PERSON, "appliance", "doctor")
    opens_and_answers(house.desk("deb", screen, "/usr/bin/appliance"), screen)
    machine.run("dpkg", "--purge", "appliance")
    assert {one for one in machine.ours() - before if not one.startswith("/home/")} == set()


def test_the_archive_is_put_into_a_home(house: House, screen: Screen) -> None:
    machine = house.machine
    machine.get(*GTK)
    machine.run("tar", "-C", "/opt", "-xzf", machine.take(newest("appliance-[0-9]*.tar.gz")))
    before = machine.ours()
    script = machine.run("sh", "-c", "echo /opt/appliance-*/install.sh").strip()
    machine.run(*AS_PERSON, script, "--user")
    mine = Path("/home/person/.local")
    for place in PLACES:
        assert machine.try_run("test", "-e", str(mine / place.removeprefix("usr/"))).returncode == 0
    opens_and_answers(house.desk("archive", screen, str(mine / "bin/appliance")), screen)
    machine.run(*AS_PERSON, script, "--remove", "--user")
    own = (str(mine / "share/appliance"), str(mine / "state"))
    assert {one for one in machine.ours() - before if not one.startswith(own)} == set()


def test_the_rpm_is_installed_and_erased(house: House, screen: Screen) -> None:
    machine = house.machine
    machine.get("rpm", *GTK)
    machine.run(*RPM, "--install", machine.take(newest("appliance-[0-9]*.rpm")))
    assert machine.run("rpm", "--verify", "--nodeps", "appliance") == ""
    assert [one for one in PLACES if not (machine.root / one).is_file()] == []
    opens_and_answers(house.desk("rpm", screen, "/usr/bin/appliance"), screen)
    machine.run(*RPM, "--erase", "appliance")
    assert [one for one in machine.ours() if one.startswith("/usr/")] == []
