"""A real Secret Service for one script: its own bus, keyring daemon and home folder.

Debian packages: dbus, gnome-keyring.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"dbus-run-session": "dbus", "gnome-keyring-daemon": "gnome-keyring"}

_UNLOCKED = """
import atexit, subprocess, time
import secretstorage

daemon = subprocess.Popen(
    ["gnome-keyring-daemon", "--unlock", "--components=secrets", "--foreground"],
    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
)
atexit.register(daemon.wait)
atexit.register(daemon.kill)
daemon.stdin.write(b"throw-away")
daemon.stdin.close()

def unlocked():
    try:
        with secretstorage.dbus_init() as bus:
            if not secretstorage.check_service_availability(bus):
                return False
            found = secretstorage.get_all_collections(bus)
            return any(c.get_label() and not c.is_locked() for c in found)
    except secretstorage.SecretStorageException:
        return False

ends = time.monotonic() + 30
while not unlocked():
    assert time.monotonic() < ends and daemon.poll() is None, "no keyring came up"
    time.sleep(0.05)
"""


_BUS = """
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
"""It starts no program by itself: the daemon is ours, and nobody can be asked for a password."""


def missing_package() -> str | None:
    """The Debian package without which there is no Secret Service here."""
    return next((p for program, p in PACKAGES.items() if not shutil.which(program)), None)


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a login without a desktop: no bus, no display, nothing of the tester's."""
    home.mkdir(mode=0o700, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        **more,
    }


def run_with_keyring(script: str, home: Path, *arguments: str) -> str:
    """Runs a script where the keyring is unlocked; returns its output."""
    package = missing_package()
    if package is not None:
        pytest.skip(f"needs the Debian package {package}")
    bus = home.with_name("bus.conf")
    bus.write_text(_BUS, encoding="utf-8")
    code = [sys.executable, "-c", _UNLOCKED + script, *arguments]
    return _run(["dbus-run-session", f"--config-file={bus}", "--", *code], home)


def run_without_bus(script: str, home: Path, *arguments: str, **variables: str) -> str:
    """Runs a script where no keyring can be reached; returns its output."""
    return _run([sys.executable, "-c", script, *arguments], home, **variables)


def _run(command: list[str], home: Path, **variables: str) -> str:
    child = subprocess.Popen(
        command,
        env=environment(home, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, complaints = child.communicate(timeout=90)
    finally:
        # With the bus and the daemon, if it hangs.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == 0, complaints
    return output
