"""A real appliance in a process of its own, for tests that look at it from outside."""

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
"""That a model computes with; 0: as many as it likes. Test files that run side by side share the
cores, and threads that wait for each other on one core cost more than they compute."""
PROOF = Path(__file__).resolve().parent.parent / "build" / "proof"


def apart(folder: Path) -> dict[str, str]:
    """The environment of an appliance that has `data`, `config` and `cache` in a folder, and a free
    port. What variants of llama.cpp compute right on this machine, all know together.
    """
    proof = folder / "cache" / "appliance" / "proof"
    if not proof.is_symlink():
        PROOF.mkdir(parents=True, exist_ok=True)
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.symlink_to(PROOF)
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("APPLIANCE_")},
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "APPLIANCE_DATA_DIR": str(folder / "data"),
        "APPLIANCE_SERVER_PORT": "0",
        # What else is on this machine is no part of a test.
        "APPLIANCE_MODELS_FIND_ELSEWHERE": "false",
        "APPLIANCE_ENGINE_TUNE": "false",  # it wants the machine for itself
        "APPLIANCE_ENGINE_N_THREADS": str(THREADS),
        # A small model that is asked for one word may well write two thousand.
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
            folder: of everything that it writes.
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
        """Start it; wait until the model is loaded unless told not to. The port stays the same."""
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
        """Another command that goes on beside the test."""
        return subprocess.Popen(
            [*self._command, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command, with the same settings."""
        return subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def make_key(self, name: str, *options: str) -> str:
        """A key that the command line made."""
        made = self.command("keys", "create", name, *options)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def wait_ready(self) -> None:
        """Until `/readiness` says so."""
        deadline = time.monotonic() + START_SECONDS
        while httpx.get(self.url + "/readiness").status_code != 200:
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.05)

    def __del__(self) -> None:
        """A test that failed did not come to stop it; one that passed has to."""
        process = getattr(self, "_process", None)
        if process and process.poll() is None:
            process.kill()
            self.ended()
            warnings.warn(f"process {process.pid} was left running", ResourceWarning, 1, self)

    @property
    def pid(self) -> int:
        """Of the appliance's own process."""
        assert self._process
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """Of the worker with the model."""
        (worker,) = psutil.Process(self.pid).children()
        return worker.pid

    def kill(self) -> None:
        """As a power cut would."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self.ended()

    def stop(self) -> int:
        """Politely; returns the exit code."""
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
    """An appliance for a fixture, which ends in good order."""
    appliance = Running(folder, **environment).start()
    yield appliance
    assert appliance.stop() == 0
