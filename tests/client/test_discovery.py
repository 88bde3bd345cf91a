"""Other programs of the same user find the running service, and never one that is gone."""

import contextlib
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.client import discovery
from appliance.client.discovery import DataFolderLock, RunningService
from appliance.client.http import client_of
from appliance.errors import Unavailable
from tests.running import WITHOUT_MODEL, Running


def test_a_service_is_found_while_it_runs(tmp_path: Path) -> None:
    appliance = Running(tmp_path, command=WITHOUT_MODEL).start(ready=False)
    found = discovery.find_service(appliance.data)
    assert found
    assert (found.url, found.pid) == (appliance.url, appliance.pid)
    assert stat.S_IMODE((appliance.data / discovery.FILE).stat().st_mode) == 0o600
    assert appliance.stop() == 0
    assert not (appliance.data / discovery.FILE).exists()


def test_a_killed_service_is_not_found(tmp_path: Path) -> None:
    appliance = Running(tmp_path, command=WITHOUT_MODEL).start(ready=False)
    appliance.kill()
    assert (appliance.data / discovery.FILE).exists()
    assert discovery.find_service(appliance.data) is None
    again = Running(tmp_path, command=WITHOUT_MODEL).start(ready=False)
    found = discovery.find_service(again.data)
    assert found and found.pid == again.pid
    assert again.stop() == 0


def test_nobody_takes_away_anothers_file(tmp_path: Path) -> None:
    lock = DataFolderLock(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        discovery.publish(tmp_path, RunningService(url, 1, "1"))
        discovery.unpublish(tmp_path, os.getpid())
        assert discovery.find_service(tmp_path) == RunningService(url, 1, "1")
    lock.release()


# -- another program on its port -------------------------------------------------------------------


class Listener:
    """Another program on a former service's port; it records what it receives."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.received = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                connection.settimeout(5)
                with connection, contextlib.suppress(OSError):
                    while data := connection.recv(65536):
                        self.received += data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def listener() -> Iterator[Listener]:
    one = Listener()
    yield one
    one.close()


COMMANDS = [
    ["run", "smollm2-135m-instruct", "private"],
    *(["list"], ["show", "private"], ["ps"], ["stop", "private"], ["rm", "private"], ["health"]),
    *(["pull", "private/private/private.gguf"], ["doctor"]),
]


def test_a_program_on_the_port_of_a_killed_service_receives_nothing(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path, ENABLE_AUTH="true", APPLIANCE_SECURITY_VAULT="file", HF_HUB_OFFLINE="1"
    ).start(ready=False)
    appliance.kill()
    left = (appliance.data / discovery.FILE).read_bytes()
    assert json.loads(left)["token"]
    other = Listener(int(appliance.url.rpartition(":")[2]))
    # Its own current service must have another port.
    appliance._environment["APPLIANCE_SERVER_PORT"] = "0"
    try:
        assert discovery.find_service(appliance.data) is None
        for command in COMMANDS:
            (appliance.data / discovery.FILE).write_bytes(left)
            appliance.command(*command)
            assert other.received == b"", command
    finally:
        other.close()


def test_what_is_left_of_an_address_is_gone_once_somebody_has_the_lock(
    tmp_path: Path, listener: Listener
) -> None:
    discovery.publish(tmp_path, RunningService(listener.url, 1, "1", "token"))
    lock = DataFolderLock(tmp_path)  # such as a restore, or a service before it listens
    assert discovery.find_service(tmp_path) is None
    lock.release()


def test_a_client_of_a_service_that_has_ended_sends_nothing_to_its_port(
    tmp_path: Path, listener: Listener
) -> None:
    lock = DataFolderLock(tmp_path)
    discovery.publish(tmp_path, RunningService(listener.url, 1, "1", "token"))
    client = client_of(tmp_path)
    assert client
    lock.release()
    for ask in (
        lambda: client.call("POST", "/v1/chat/completions", {"private": 1}),
        lambda: list(client.stream("/v1/chat/completions", {"private": 1})),
    ):
        with pytest.raises(Unavailable, match="another program has its port"):
            ask()
    assert not client.is_appliance()
    assert listener.received == b""


def test_looking_for_a_service_keeps_none_from_starting(tmp_path: Path) -> None:
    discovery.publish(tmp_path, RunningService("http://127.0.0.1:9", 1, "1"))
    service = RunningService("http://127.0.0.1:9", 1, "1")
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            discovery.still_runs(tmp_path, service)

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for thread in lookers:
        thread.start()
    try:
        for _ in range(20):
            DataFolderLock(tmp_path).release()
    finally:
        stop.set()
        for thread in lookers:
            thread.join(30)


def test_nonsense_in_the_file_is_no_service(tmp_path: Path) -> None:
    assert discovery.find_service(tmp_path) is None
    for content in (b"", b"{", b"[]", b'{"url": 1}', b'{"url":"x","pid":1,"version":""}', b"\xff"):
        (tmp_path / discovery.FILE).write_bytes(content)
        assert discovery.find_service(tmp_path) is None
