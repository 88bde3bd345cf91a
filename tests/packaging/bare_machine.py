"""A Debian with nothing in it: no Python, no compiler; systemd booted in a container.

Debian packages: debootstrap, systemd-container. Root is needed for both.
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
BOOT_SECONDS = 120
# The host may have its control groups in the old way, which systemd in a container need not know.
_BOOT = """
mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup &&
exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --directory="$1"
"""


def make_base() -> None:
    """The bare system, out of the mirror that this machine's own packages come from."""
    for program, package in (
        ("debootstrap", "debootstrap"),
        ("systemd-nspawn", "systemd-container"),
    ):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: install the Debian package `{package}`")
    if os.geteuid() != 0:
        pytest.skip("a machine is made and booted by root")
    if BASE.exists():
        return
    release = _said("sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME")
    mirrors = _said(
        *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
        *("Created-By: Packages", f"RELEASE: {release}", "COMPONENT: main"),
    ).split()
    if not mirrors:
        pytest.skip("this machine's packages come from no mirror that could be asked")
    BASE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BASE.parent) as scratch:
        half = Path(scratch, "root")
        subprocess.run(
            [
                *("debootstrap", "--variant=minbase", "--include=systemd-sysv,dbus"),
                *(release, half, mirrors[0]),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=900,
        )
        half.rename(BASE)


def _said(*command: str) -> str:
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

    def boot(self) -> None:
        """Until its systemd takes orders; the test is left out where none can run."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", _BOOT, "sh", str(self.root)],
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
        children = psutil.Process(self._process.pid).children()
        init = [one.pid for one in children if one.name() == "systemd"]
        if not init:
            return False
        self._init = init[0]
        state = self.try_run("systemctl", "is-system-running").stdout.strip()
        return state in ("running", "degraded")

    def try_run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command of root inside; it may fail."""
        return subprocess.run(
            [
                *("nsenter", f"--target={self._init}", "--all", "--"),
                *("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", *command),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def run(self, *command: str) -> str:
        """A command of root inside, which must not fail; what it says."""
        done = self.try_run(*command)
        assert done.returncode == 0, done.stdout + done.stderr + self.journal()
        return done.stdout

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
