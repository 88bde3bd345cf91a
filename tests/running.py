"""A real appliance in a separate process, for tests from outside."""

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import psutil

from appliance.system.cpu import physical_cores

START_SECONDS = 180
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
THREADS = max(1, physical_cores() // _PROCESSES) if _PROCESSES else 0
"""Threads of a model; 0: the default. Test files that run in parallel share the cores, and threads
that wait for each other on one core cost more than they compute."""
WITHOUT_MODEL = (sys.executable, "-m", "tests.service.fake_service")
"""The command of an appliance with the fake runner: for tests that no model has a part in."""
PROOF = Path(__file__).resolve().parent.parent / "build" / "proof"
NOT_SHIPPED = Path(__file__).resolve().parent / "service" / "not_shipped"


def know_variants(cache: Path) -> None:
    """Share the verified variants of llama.cpp: an appliance with this cache does not test them."""
    proof = cache / "appliance" / "proof"
    if not proof.is_symlink():
        PROOF.mkdir(parents=True, exist_ok=True)
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.symlink_to(PROOF)


def apart(folder: Path) -> dict[str, str]:
    """The environment of an appliance that has `data`, `config` and `cache` in a folder, and a free
    port."""
    know_variants(folder / "cache")
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("APPLIANCE_")},
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(NOT_SHIPPED), os.environ.get("PYTHONPATH")))
        ),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "APPLIANCE_DATA_DIR": str(folder / "data"),
        "APPLIANCE_SERVER_PORT": "0",
        # Other software on this machine is not part of a test.
        "APPLIANCE_MODELS_FIND_ELSEWHERE": "false",
        "APPLIANCE_ENGINE_TUNE": "false",  # it needs the machine to itself
        "APPLIANCE_ENGINE_N_CTX": "2048",  # four of the usual size take 0.3 s to make
        "APPLIANCE_ENGINE_N_THREADS": str(THREADS),
        # A small model asked for one word may write two thousand.
        "APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS": "400",
    }


class Running:
    """`appliance serve` on a free port with a data folder that outlives it."""

    def __init__(
        self,
        folder: Path,
        *,
        config: str = "",
        command: Sequence[str] = (sys.executable, "-m", "appliance"),
        **environment: str,
    ) -> None:
        """
        Args:
            folder: where it writes everything.
            config: TOML.
            command: what is run; another one can be frozen, or have another engine.
            environment: settings such as APPLIANCE_ENGINE_N_CTX.
        """
        self._command = command
        self.data = folder / "data"
        self.log = folder / "log.txt"
        self._environment = {**apart(folder), **environment}
        file = folder / "config" / "appliance" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(config)
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, *flags: str, ready: bool = True) -> "Running":
        """Start it; wait until the model is loaded by default. The port stays the same."""
        log = self.log.open("a")
        self._process = subprocess.Popen(
            [*self._command, "serve", *flags],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert "http://" in line, (line, self.log.read_text())
        self.url = line.split()[-1]
        self._environment["APPLIANCE_SERVER_PORT"] = self.url.rpartition(":")[2]
        if ready:
            self.wait_ready()
        return self

    def popen(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start another command that runs beside the test."""
        return subprocess.Popen(
            [*self._command, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command, with the same settings."""
        return subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def make_key(self, name: str, *options: str) -> str:
        """Create a key with the command line."""
        made = self.command("keys", "create", name, *options)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def wait_ready(self) -> None:
        """Wait until `/readiness` succeeds."""
        deadline = time.monotonic() + START_SECONDS
        while httpx.get(self.url + "/readiness").status_code != 200:
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.05)

    def __del__(self) -> None:
        """A failed test may not have stopped it; a passed one must have."""
        process = getattr(self, "_process", None)
        if process and process.poll() is None:
            process.kill()
            self.ended()
            warnings.warn(f"process {process.pid} was left running", ResourceWarning, 1, self)

    @property
    def pid(self) -> int:
        """The appliance's process id."""
        assert self._process
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """The process id of the worker with the model."""
        (worker,) = psutil.Process(self.pid).children()
        return worker.pid

    def kill(self) -> None:
        """Kill it, as a power failure would."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self.ended()

    def stop(self) -> int:
        """Stop it gracefully; returns the exit code."""
        assert self._process
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Waits for its end; returns the exit code."""
        assert self._process
        assert self._process.stdout
        code = self._process.wait(60)
        self._process.stdout.close()
        return code


def serving(folder: Path, **environment: str) -> Iterator[Running]:
    """An appliance for a fixture, with the model's own context size, which must stop
    gracefully."""
    appliance = Running(folder, **{"APPLIANCE_ENGINE_N_CTX": "0", **environment}).start()
    yield appliance
    assert appliance.stop() == 0
