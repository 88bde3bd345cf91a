"""What the original service's clients receive when a reply is cut off, by HTTP and WebSocket."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.api.legacy.test_original import receive
from tests.running import Running


class TwoClients:
    """Two clients with a running reply each, over HTTP and over WebSocket."""

    def __init__(self, appliance: Running, stack: ExitStack, max_token: int = 4000) -> None:
        story = {"prompt": "Tell me a very long story.", "max_token": max_token}
        response = stack.enter_context(
            httpx.stream("POST", appliance.url + "/chat/completions", json=story, timeout=60)
        )
        self._lines = response.iter_lines()
        address = appliance.url.replace("http://", "ws://") + "/chat/ws?session_id=cut-off"
        self._ws = stack.enter_context(connect(address, proxy=None))
        self._ws.send(json.dumps(story))
        assert next(self._lines).startswith("data: ")
        assert self._ws.recv(60)

    def ends(self) -> tuple[str, str, int]:
        """The last line of the stream, the last frame of the socket, and its close code."""
        *_, last_line = (line.removeprefix("data: ") for line in self._lines if line)
        (*_, last_frame), code = receive(self._ws)
        return last_line, last_frame, code


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Running]:
    appliance = Running(
        tmp_path,
        command=(sys.executable, "-m", "tests.service.fake_service"),
        FAKE_STEP_SECONDS="0.02",
        APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="4000",
        APPLIANCE_SERVER_SHUTDOWN_GRACE_SECONDS="0.3",
    ).start()
    yield appliance
    assert appliance.stop() == 0


def test_replies_go_on_when_their_worker_dies(appliance: Running) -> None:
    with ExitStack() as stack:
        clients = TwoClients(appliance, stack, max_token=100)
        os.kill(appliance.worker_pid, signal.SIGKILL)
        last_line, last_frame, code = clients.ends()
    assert "__ERROR__" not in last_line + last_frame
    assert code == 1000
    history = httpx.get(appliance.url + "/chat/history/cut-off", timeout=60).json()
    assert [message["role"] for message in history] == ["user", "assistant"]
    assert len(history[1]["content"]) == 100


def test_a_shutdown_is_reported_as_an_error(appliance: Running) -> None:
    with ExitStack() as stack:
        clients = TwoClients(appliance, stack)
        os.kill(appliance.pid, signal.SIGTERM)
        last_line, last_frame, code = clients.ends()
    assert last_line == last_frame == "__ERROR__:the appliance is shutting down"
    assert code == 1012
