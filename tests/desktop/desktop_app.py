"""`appliance` without a command, as a user starts it."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.desktop.screen import Screen
from tests.running import apart
from tests.waiting import wait_until

PATIENT = "120"
"""Seconds for an engine in tests that are not about timeouts."""


class Desk:
    """One user with a data folder."""

    def __init__(
        self,
        folder: Path,
        screen: Screen,
        rung: str = "",
        *,
        command: Sequence[str] = (sys.executable, "-m", "appliance"),
        **environment: str,
    ) -> None:
        """
        Args:
            folder: where it writes everything.
            rung: the engine that showed the page last time.
            command: what is run; another one can be frozen.
            environment: settings such as APPLIANCE_ENGINE_N_CTX.
        """
        self._command = command
        self.data = folder / "data"
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.log = folder / "log.txt"
        self._screen = screen
        self._memory = self.data / "window.json"
        if rung:
            self._memory.write_text(json.dumps({"rung": rung}))
        self.environment = {
            **apart(folder),
            **screen.environment,
            "BROWSER": str(folder / "browser"),
            **environment,
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str, patience: str = PATIENT) -> "Desk":
        """Start it without waiting."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*self._command, "--ready-seconds", patience, *arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
                text=True,
            )
        return self

    def again(self) -> int:
        """A second start by the same user: its exit code."""
        return subprocess.run(
            [*self._command], env=self.environment, check=False, timeout=60
        ).returncode

    def minimize_and_start_again(self) -> None:
        """Minimize the window; the second start brings it back."""
        window = self.window()
        self._screen.do("windowminimize", "--sync", window)
        wait_until(lambda: not self._screen.windows(), "it is not minimized")
        assert self.again() == 0
        wait_until(lambda: self._screen.windows() == [window], "it does not come back")

    def memory(self) -> dict[str, Any]:
        """What is remembered."""
        try:
            found: dict[str, Any] = json.loads(self._memory.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found

    def wait_shown(self) -> str:
        """Wait until the page is drawn; the engine that showed it."""
        wait_until(lambda: "failed" in self.memory(), f"no page: {self.tail()}", 180)
        return str(self.memory()["rung"])

    def window(self) -> str:
        """The window's number on the screen."""
        wait_until(self._screen.windows, f"no window: {self.tail()}")
        return self._screen.windows()[-1]

    def service(self) -> dict[str, Any]:
        """The service's own description of itself, from its file."""
        found: dict[str, Any] = json.loads((self.data / "service.json").read_text())
        return found

    def is_served_by_another(self, pid: int) -> bool:
        """Whether a service with another process id is there; the file of one that died is removed
        before the next writes its own."""
        try:
            return bool(self.service()["pid"] != pid)
        except FileNotFoundError:
            return False

    def ask(self, path: str) -> Any:
        """GET from the service."""
        service = self.service()
        headers = {"Authorization": f"Bearer {service['token']}"} if "token" in service else {}
        return httpx.get(service["url"] + path, headers=headers).json()

    def wait_ready(self) -> None:
        """Wait until the model answers."""
        url = self.service()["url"]
        wait_until(
            lambda: httpx.get(url + "/readiness").status_code == 200, f"not ready: {self.tail()}"
        )

    def replies(self) -> list[dict[str, Any]]:
        """Every reply in every chat."""
        sessions = self.ask("/api/sessions")["sessions"]
        found = [self.ask(f"/api/sessions/{one['id']}/messages") for one in sessions]
        return [m for chat in found for m in chat["messages"] if m["role"] == "assistant"]

    def gone(self) -> bool:
        """Whether it has ended."""
        assert self.process
        return self.process.poll() is not None

    def end(self) -> int:
        """End it as the session manager does."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)

    def output(self) -> str:
        """Its whole log."""
        return self.log.read_text()

    def tail(self) -> str:
        """The last lines of its log."""
        return self.log.read_text()[-3000:] if self.log.exists() else ""
