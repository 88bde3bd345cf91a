"""The notifications that systemd receives from a real appliance, over a real socket."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        self._messages: list[str] = []

    def messages(self) -> list[str]:
        """Every line received so far."""
        while True:
            try:
                self._messages += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self._messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    one = Manager(tmp_path)
    yield one
    one.close()


def test_ready_well_and_stopping(manager: Manager, tmp_path: Path) -> None:
    appliance = Running(tmp_path, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="1000000").start()
    wait_until(lambda: "READY=1" in manager.messages(), "never ready")
    assert any(line.startswith("STATUS=") and ": ready" in line for line in manager.messages())
    fed = manager.messages().count("WATCHDOG=1")
    wait_until(lambda: manager.messages().count("WATCHDOG=1") > fed + 2, "the watchdog starves")
    assert appliance.stop() == 0
    assert "STOPPING=1" in manager.messages()


def test_the_watchdog_is_not_fed_by_one_that_does_not_answer(
    manager: Manager, tmp_path: Path
) -> None:
    # Another program damages the database permanently: nothing can be read once its file is
    # no database.
    appliance = Running(tmp_path, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="600000").start()
    wait_until(lambda: "WATCHDOG=1" in manager.messages(), "never fed")
    os.kill(appliance.pid, signal.SIGSTOP)
    try:
        fed = len(manager.messages())
        with pytest.raises(AssertionError):
            wait_until(lambda: len(manager.messages()) > fed, "silent, as it should be", 3)
    finally:
        os.kill(appliance.pid, signal.SIGCONT)
    wait_until(lambda: len(manager.messages()) > fed, "it does not come back")
    assert appliance.stop() == 0


def test_a_failing_model_is_reported_and_the_rest_goes_on(manager: Manager, tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF and nothing else")
    config = f'[[models.available_models]]\nid = "broken"\npath = "{file}"\n'
    appliance = Running(tmp_path, config=config, NOTIFY_SOCKET=manager.path).start(ready=False)
    wait_until(lambda: "READY=1" in manager.messages(), "never ready")
    assert any("broken: failed" in line for line in manager.messages())
    assert appliance.stop() == 0
