"""A minimal Debian: no Python, no compiler; systemd booted in a container.

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
"""Packages already downloaded, so that each comes over the network once."""
BOOT_SECONDS = 120
COMMAND_SECONDS = 600
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The host may use control groups version 1, which systemd in a container need not know.
_BOOT = """
mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup &&
exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe "$@"
"""


def make_base() -> None:
    """The minimal system, from the mirror of this machine's own packages."""
    bootstrap(BASE, "systemd-sysv", "dbus")


def bootstrap(base: Path, *packages: str) -> None:
    """A Debian with these packages and little else, in a folder that is made once."""
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
    """A running machine."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "machine"
        self.log = folder / "console.txt"
        subprocess.run(["cp", "-a", BASE, self.root], check=True)
        # It must not look like a copy of another machine.
        (self.root / "etc/machine-id").write_text("")
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def boot(self, *shared: Path) -> None:
        """Wait until its systemd accepts commands; the test is skipped where none can run.

        Args:
            shared: folders of this machine, mounted at the same paths.
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
        with suppress(psutil.NoSuchProcess):  # it begins with short-lived commands
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
        """Run a command as root inside; it may fail."""
        clean = ["env", "-i", f"PATH={PATH}", "HOME=/root"]
        return subprocess.run(
            self.inside(*clean, *command),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def run(self, *command: str) -> str:
        """Run a command as root inside, which must not fail; its output."""
        done = self.try_run(*command)
        assert done.returncode == 0, done.stdout + done.stderr + self.journal()
        return done.stdout

    def take(self, file: Path) -> str:
        """Copies a file into root's home, under a name that `ours` does not find; its path."""
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
        """Every file and folder with the appliance's name, except GNOME's own icon."""
        apart = "( -path /proc -o -path /var/cache/apt -o -path */icons/Adwaita ) -prune"
        words = ["find", "/", "-xdev", *apart.split(), "-o", "-name", "*appliance*", "-print"]
        return set(self.run(*words).split())

    def journal(self) -> str:
        """The end of the service's log."""
        return self.try_run("journalctl", "--no-pager", "--lines=40", "--unit=appliance").stdout

    def processes(self, word: str) -> list[psutil.Process]:
        """The processes inside with this word on their command line."""
        inside = psutil.Process(self._init).children(recursive=True)
        found = []
        for one in inside:
            with suppress(psutil.Error):
                if word in one.cmdline():
                    found.append(one)
        return found

    def end(self) -> None:
        """Stop it like a power failure."""
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
