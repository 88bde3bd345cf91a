"""A Debian with nothing in it: no Python, no compiler; systemd booted in a container.

Debian packages: debootstrap, systemd-container. Root is needed for both. The machine is on the
network of this one, and gets more packages from the same mirror.
"""

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "build" / "bare"
"""Made once; every machine is a copy."""
ARCHIVES = ROOT / "build" / "bare-archives"
"""Packages that machines have got, so that each comes over the network once."""
BOOT_SECONDS = 120
COMMAND_SECONDS = 600
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The host may have its control groups in the old way, which systemd in a container need not know.
_BOOT = """
mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup &&
exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe "$@"
"""


def make_base() -> None:
    """The bare system, out of the mirror that this machine's own packages come from."""
    bootstrap(BASE, "systemd-sysv", "dbus")


def bootstrap(base: Path, *packages: str) -> None:
    """A Debian that has little besides these packages, in a folder that is made once."""
    for program, package in (
        ("debootstrap", "debootstrap"),
        ("systemd-nspawn", "systemd-container"),
    ):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: install the Debian package `{package}`")
    if os.geteuid() != 0:
        pytest.skip("a machine is made and booted by root")
    if base.exists():
        return
    release = _output("sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME")
    mirrors = _output(
        *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
        *("Created-By: Packages", f"RELEASE: {release}", "COMPONENT: main"),
    ).split()
    if not mirrors:
        pytest.skip("this machine's packages come from no mirror that could be asked")
    base.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base.parent) as scratch:
        half = Path(scratch, "root")
        subprocess.run(
            [
                *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}"),
                *(release, half, mirrors[0]),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=900,
        )
        half.rename(base)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Machine:
    """One that is running."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "machine"
        self.log = folder / "console.txt"
        subprocess.run(["cp", "-a", BASE, self.root], check=True)
        # It is no copy of another machine.
        (self.root / "etc/machine-id").write_text("")
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def boot(self, *shared: Path) -> None:
        """Until its systemd takes orders; the test is left out where none can run.

        Args:
            shared: folders that it has as well, at the same places.
        """
        ARCHIVES.mkdir(exist_ok=True)
        binds = [f"--bind={ARCHIVES}:/var/cache/apt/archives", *(f"--bind={it}" for it in shared)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "sh", "-c", _BOOT, "sh"),
                    *(f"--directory={self.root}", *binds),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._up, "systemd does not boot here", BOOT_SECONDS)
        except AssertionError:
            self.end()
            pytest.skip(f"no systemd boots in a container here: {self.log.read_text()[-2000:]}")

    def _up(self) -> bool:
        assert self._process
        assert self._process.poll() is None, "it has ended"
        init = []
        with suppress(psutil.NoSuchProcess):  # it begins with commands that soon end
            children = psutil.Process(self._process.pid).children()
            init = [one.pid for one in children if one.name() == "systemd"]
        if not init:
            return False
        self._init = init[0]
        state = self.try_run("systemctl", "is-system-running").stdout.strip()
        return state in ("running", "degraded")

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command inside, as root and with our environment."""
        return ["nsenter", f"--target={self._init}", "--all", "--", *command]

    def try_run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command of root inside; it may fail."""
        clean = ["env", "-i", f"PATH={PATH}", "HOME=/root"]
        return subprocess.run(
            self.inside(*clean, *command),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def run(self, *command: str) -> str:
        """A command of root inside, which must not fail; what it says."""
        done = self.try_run(*command)
        assert done.returncode == 0, done.stdout + done.stderr + self.journal()
        return done.stdout

    def take(self, file: Path) -> str:
        """Puts a file into root's home, under a name that `ours` does not find; its place."""
        name = file.name.replace("appliance", "taken")
        subprocess.run(["cp", file, self.root / "root" / name], check=True)
        return f"/root/{name}"

    def get(self, *packages: str) -> None:
        """Installs packages, by name or file, and what they depend on."""
        self.run("apt-get", "update", "--quiet=2")
        self.run(
            *("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--quiet=2", "--yes"),
            *("--no-install-recommends", *packages),
        )

    def ours(self) -> set[str]:
        """Every file and folder that has the appliance's name; GNOME's icons have one of theirs."""
        apart = "( -path /proc -o -path /var/cache/apt -o -path */icons/Adwaita ) -prune"
        words = ["find", "/", "-xdev", *apart.split(), "-o", "-name", "*appliance*", "-print"]
        return set(self.run(*words).split())

    def journal(self) -> str:
        """What the service said last."""
        return self.try_run("journalctl", "--no-pager", "--lines=40", "--unit=appliance").stdout

    def processes(self, word: str) -> list[psutil.Process]:
        """Those inside that have this word on their command line."""
        inside = psutil.Process(self._init).children(recursive=True)
        found = []
        for one in inside:
            with suppress(psutil.Error):
                if word in one.cmdline():
                    found.append(one)
        return found

    def end(self) -> None:
        """As when somebody pulls the plug."""
        if self._process is None:
            return
        with suppress(psutil.Error):
            if self._init:
                psutil.Process(self._init).kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self._process.kill()
        self._process.wait(30)
        subprocess.run(["rm", "-rf", self.root], check=False)
