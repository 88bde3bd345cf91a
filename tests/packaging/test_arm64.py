"""The package for arm64, installed on a bare Debian for arm64 whose programs qemu runs.

`make arm64` makes it and `make arm64-test` runs this. It shows that the package is complete
and answers, not how fast it is on such a processor.
"""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

import debian
from tests.packaging.built_packages import newest
from tests.packaging.test_files import judged
from tests.waiting import wait_until
from tests.worker.runners import ggml_writer

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "build" / "arm64" / "bare"
"""Made once: a Debian with the package's dependencies, and nothing else."""
SLOW = 900.0
"""Seconds for steps that take a few without qemu."""
CONFIG = """
[models]
find_elsewhere = false
[[models.available_models]]
id = "smollm2-135m-instruct"
[[models.available_models]]
id = "old"
path = "/var/lib/old.bin"
family = "gpt2"
"""

pytestmark = pytest.mark.packages


class Arm:
    """The package, installed in its own system."""

    def __init__(self, folder: Path, package: Path) -> None:
        self.root = folder / "root"
        self.log = folder / "log.txt"
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self._port: int = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        subprocess.run(["cp", "-a", BASE, self.root], check=True)
        subprocess.run(["cp", package, self.root / "root/appliance.deb"], check=True)
        self.run("dpkg", "--install", "/root/appliance.deb")
        (self.root / "etc/appliance/config.toml").write_text(CONFIG)
        old = ggml_writer.model("gpt2", ggml_writer.equal_weights)
        (self.root / "var/lib/old.bin").write_bytes(old)
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command inside."""
        environment = {
            "APPLIANCE_SERVER_PORT": str(self._port),
            "APPLIANCE_DATA_DIR": "/var/lib/appliance",
            "XDG_CONFIG_HOME": "/etc",
            "APPLIANCE_ENGINE_TUNE": "false",
            "APPLIANCE_ENGINE_N_CTX": "512",
        }
        return debian.inside(self.root, *command, variables=environment)

    def run(self, *command: str) -> str:
        """Run a command, which must not fail; its output."""
        done = subprocess.run(
            self.command(*command), capture_output=True, text=True, check=False, timeout=SLOW
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def serve(self) -> None:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command("appliance", "serve"), stdout=log, stderr=log
            )

    def ready(self) -> bool:
        assert self._process and self._process.poll() is None, self.log.read_text()
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readiness", timeout=60).status_code == 200
        return False

    def ask(self, model: str) -> httpx.Response:
        question = {
            "model": model,
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "temperature": 0,
            "max_tokens": 8,
        }
        return httpx.post(f"{self.url}/v1/chat/completions", json=question, timeout=SLOW)

    def stop(self) -> int:
        """Stop it as a service manager does."""
        assert self._process
        for inside in psutil.Process(self._process.pid).children():
            inside.terminate()
        return self._process.wait(120)

    def end(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()  # and all that it started
            self._process.wait(60)
        subprocess.run(["rm", "-rf", self.root], check=False)


@pytest.fixture(scope="module")
def package() -> Path:
    return newest("arm64/appliance-server_*_arm64.deb")


@pytest.fixture(scope="module")
def arm(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arm]:
    """Installed, not yet started."""
    if os.geteuid() != 0:
        pytest.skip("a system in a folder is entered by root")
    try:
        debian.let_run("arm64")
        if not BASE.exists():
            debian.make(BASE, debian.depends(package), architecture="arm64", variant="essential")
    except SystemExit as ex:
        pytest.skip(str(ex))
    one = Arm(tmp_path_factory.mktemp("arm64"), package)
    yield one
    one.end()


def test_the_package_says_what_it_is_for(package: Path) -> None:
    assert judged("dpkg-deb", "dpkg", "--field", str(package), "Architecture").strip() == "arm64"
    judged("lintian", "lintian", "--allow-root", "--fail-on=error", str(package))


def test_it_answers_and_reports_its_device(arm: Arm) -> None:
    arm.serve()
    wait_until(arm.ready, f"not ready, see {arm.log}", SLOW)

    response = arm.ask("smollm2-135m-instruct")
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"]

    refused = arm.ask("old")
    assert refused.status_code == 503, refused.text
    assert "ctransformers has no library for aarch64" in refused.json()["error"]["message"]

    found = json.loads(arm.run("appliance", "doctor", "--json"))
    assert found["system"].endswith("aarch64")
    assert arm.run("appliance", "health") == "ready\n"
    assert arm.stop() == 0
