"""`make run` in a clone, on a Debian with Python and make alone: no compiler, no Node.js, no Git.

`make setup-test` runs this and shows how long it took. Only the set-up itself uses
the network, with this machine's package sources.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.packaging.bare_machine import PATH, ROOT, bootstrap
from tests.packaging.openai_requests import ask
from tests.waiting import wait_until

BASE = ROOT / "build" / "bare-python"
PACKAGES = ("python3", "python3-venv", "make", "ca-certificates")
ABSENT = ("cc", "c++", "gcc", "clang", "node", "npm", "git", "cmake")
SET_UP_SECONDS = 900
"""Time limit; a registry may be slow."""
START_SECONDS = 120
CONFIGURATION = (
    *("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"),
    *("/etc/pip.conf", "/etc/xdg/pip", "~/.config/pip", "~/.pip", "~/.npmrc"),
)
"""How this machine reaches its registries; copied if it exists."""
NETWORK_VARIABLES = (
    "PIP_",
    "NPM_CONFIG_",
    "SSL_CERT_",
    "NODE_EXTRA_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
_ENTER = """
mount -t proc proc "$0/proc" && mount -t tmpfs -o mode=755 dev "$0/dev" &&
mkdir "$0/dev/shm" && mount -t tmpfs shm "$0/dev/shm" &&
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$0/dev/${node%:*}" c 1 "${node#*:}"
done &&
ln -s /proc/self/fd "$0/dev/fd" &&
exec chroot "$0" "$@"
"""
"""In its own mounts, with its own devices: nothing of this machine is accessible."""

pytestmark = pytest.mark.packages


class Clone:
    """A clone of this repository in its own system."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.log = folder / "log.txt"
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port: int = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(["cp", "-a", BASE, self.root], check=True)
        for name in CONFIGURATION:
            source = Path(name).expanduser()
            target = self.root / ("root" + name[1:] if name[0] == "~" else name[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            elif source.exists():
                target.unlink(missing_ok=True)
                shutil.copy(source, target)
        subprocess.run(
            ["git", "clone", "--quiet", "--no-hardlinks", ROOT, self.root / "root/appliance"],
            check=True,
        )

    def command(self, *command: str) -> list[str]:
        """Wraps a command to run inside, as root; everything ends with its first process."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.upper().startswith(NETWORK_VARIABLES)
        }
        environment |= {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
        # Other software on this machine is not part of the test.
        environment |= {"APPLIANCE_SERVER_PORT": str(self.port), "APPLIANCE_ENGINE_TUNE": "false"}
        words = [f"{name}={value}" for name, value in environment.items()]
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER),
            *(str(self.root), "env", "-i", "-C", "/root/appliance", *words, *command),
        ]

    def make_run(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command("make", "run"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ready(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/readiness", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Stop it with Ctrl-C, then by force."""
        if self._process is None:
            return
        inside: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            inside = psutil.Process(self._process.pid).children(recursive=True)
        for process in inside:
            if process.name() == "appliance":
                process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait(60)
            self._process = None


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    bootstrap(BASE, *PACKAGES)
    one = Clone(tmp_path)
    yield one
    one.stop()
    subprocess.run(["rm", "-rf", "--one-file-system", one.root], check=False)


def test_it_answers_on_a_machine_with_python_and_make_alone(
    clone: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    found = subprocess.run(
        clone.command("sh", "-c", f"command -v {' '.join(ABSENT)}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""

    took = []
    for limit in (SET_UP_SECONDS, START_SECONDS):
        began = time.monotonic()
        clone.make_run()
        wait_until(clone.ready, f"not ready: {clone.log}", limit)
        ask(clone.url)
        took.append(time.monotonic() - began)
        clone.stop()

    log = clone.log.read_text(encoding="utf-8")
    with capsys.disabled():
        print(f"\n{log}\nfirst reply after {took[0]:.1f} s, at the second start {took[1]:.1f} s")
    for step in ("Creating .venv", "Installing Node.js", "Fetching llama.cpp", "Building the page"):
        assert log.count(f"{step}") >= 2, "it says what it does, and how long it took"
    assert log.count("Building the page …") == 1, "the second start builds nothing"
