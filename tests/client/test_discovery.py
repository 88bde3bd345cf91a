"""Other programs of the same user find the running service, and never one that is gone."""

import os
import socket
import stat
from pathlib import Path

from appliance.client import discovery
from appliance.client.discovery import RunningService
from tests.running import Running


def test_a_service_is_found_while_it_runs(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start(ready=False)
    found = discovery.find_service(appliance.data)
    assert found
    assert (found.url, found.pid) == (appliance.url, appliance.pid)
    assert stat.S_IMODE((appliance.data / discovery.FILE).stat().st_mode) == 0o600
    assert appliance.stop() == 0
    assert not (appliance.data / discovery.FILE).exists()


def test_a_killed_service_is_not_found(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start(ready=False)
    appliance.kill()
    assert (appliance.data / discovery.FILE).exists()
    assert discovery.find_service(appliance.data) is None
    again = Running(tmp_path).start(ready=False)
    found = discovery.find_service(again.data)
    assert found and found.pid == again.pid
    assert again.stop() == 0


def test_nobody_takes_away_anothers_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        discovery.publish(tmp_path, RunningService(url, 1, "1"))
        discovery.unpublish(tmp_path, os.getpid())
        assert discovery.find_service(tmp_path) == RunningService(url, 1, "1")


def test_nonsense_in_the_file_is_no_service(tmp_path: Path) -> None:
    assert discovery.find_service(tmp_path) is None
    for content in (b"", b"{", b"[]", b'{"url": 1}', b'{"url":"x","pid":1,"version":""}', b"\xff"):
        (tmp_path / discovery.FILE).write_bytes(content)
        assert discovery.find_service(tmp_path) is None
