"""What clients of the original service hear when a reply is cut off, over HTTP and WebSocket."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.api.legacy.test_original import hear
from tests.running import Running

STORY: dict[str, Any] = {"prompt": "Tell me a very long story.", "max_token": 4000}


class Heard:
    """Two replies that are being written: the rest of each, as plain text."""

    def __init__(self, appliance: Running, stack: ExitStack) -> None:
        response = stack.enter_context(
            httpx.stream("POST", appliance.url + "/chat/completions", json=STORY, timeout=60)
        )
        self._lines = response.iter_lines()
        address = appliance.url.replace("http://", "ws://") + "/chat/ws?session_id=told"
        self._ws = stack.enter_context(connect(address, proxy=None))
        self._ws.send(json.dumps(STORY))
        assert next(self._lines).startswith("data: ")
        assert self._ws.recv(60)

    def ends(self) -> tuple[str, str, int]:
        """The last word of the stream and of the socket, and how the socket was closed."""
        *_, told = (line.removeprefix("data: ") for line in self._lines if line)
        (*_, said), code = hear(self._ws)
        return told, said, code


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[tuple[Running, Heard]]:
    appliance = Running(
        tmp_path,
        command=(sys.executable, "-m", "tests.service.fake_service"),
        FAKE_STEP_SECONDS="0.02",
        APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="4000",
        APPLIANCE_SERVER_SHUTDOWN_GRACE_SECONDS="0.3",
    ).start()
    with ExitStack() as stack:
        yield appliance, Heard(appliance, stack)
    assert appliance.stop() == 0


def test_a_worker_that_dies_is_told_as_an_error(heard: tuple[Running, Heard]) -> None:
    appliance, clients = heard
    os.kill(appliance.worker_pid, signal.SIGKILL)
    told, said, code = clients.ends()
    assert told == said
    assert told.startswith("__ERROR__:")
    assert code == 1000
    history = httpx.get(appliance.url + "/chat/history/told", timeout=60).json()
    assert [message["role"] for message in history] == ["user", "assistant"]
    assert history[1]["content"]
    # The next prompt is answered by the worker that took its place.
    again = {"prompt": "Again.", "max_token": 3, "session_id": "told"}
    answer = httpx.post(appliance.url + "/chat/completions", json=again, timeout=60)
    assert answer.status_code == 200
    assert "__ERROR__" not in answer.text


def test_a_stop_of_the_appliance_is_told_as_an_error(heard: tuple[Running, Heard]) -> None:
    appliance, clients = heard
    os.kill(appliance.pid, signal.SIGTERM)
    told, said, code = clients.ends()
    assert told == said == "__ERROR__:the appliance is shutting down"
    assert code == 1012
