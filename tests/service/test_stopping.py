"""SIGTERM: running requests finish or end with an error; new ones are refused with Retry-After."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.sse import events
from tests.running import Running

FAKE_SERVICE = Path(__file__).with_name("fake_service.py")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


def start(folder: Path, grace: float) -> Running:
    return Running(
        folder,
        command=[sys.executable, str(FAKE_SERVICE)],
        PYTHONPATH=str(ROOT),
        FAKE_STEP_SECONDS="0.05",
        APPLIANCE_SERVER_SHUTDOWN_GRACE_SECONDS=str(grace),
    ).start()


def streamed(appliance: Running, tokens: int) -> Iterator[object]:
    """The data of each event of a stream; the first one has come when this returns."""
    body = {"prompt": "x", "max_tokens": tokens, "stream": True}

    def read() -> Iterator[object]:
        url = f"{appliance.url}/v1/completions"
        with httpx.stream("POST", url, json=body, timeout=PATIENCE) as response:
            assert response.status_code == 200
            for _, data in events(response):
                yield data

    found = read()
    assert isinstance(next(found), dict)
    return found


def refused(appliance: Running) -> bool:
    """Whether new requests are refused."""
    response = httpx.get(f"{appliance.url}/health", timeout=PATIENCE)
    if response.status_code == 200:
        return False
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert response.json()["error"]["code"] == "shutting_down"
    return True


def wait_until_refused(appliance: Running) -> None:
    deadline = time.monotonic() + PATIENCE
    while not refused(appliance):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stream_is_finished_while_newcomers_are_refused(tmp_path: Path) -> None:
    appliance = start(tmp_path, grace=PATIENCE)
    stream = streamed(appliance, 60)
    os.kill(appliance.pid, signal.SIGTERM)
    wait_until_refused(appliance)
    *texts, last = stream
    assert last == "[DONE]"
    assert len(texts) >= 50
    assert all(isinstance(text, dict) and "error" not in text for text in texts)
    assert appliance.ended() == 0


def test_a_stream_that_takes_too_long_ends_with_an_error(tmp_path: Path) -> None:
    appliance = start(tmp_path, grace=0.5)
    stream = streamed(appliance, 2000)
    os.kill(appliance.pid, signal.SIGTERM)
    *_, error, last = stream
    assert last == "[DONE]"
    assert isinstance(error, dict)
    assert error["error"]["code"] == "shutting_down"
    assert appliance.ended() == 0


def test_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    appliance = start(tmp_path, grace=3600)
    stream = streamed(appliance, 2000)
    os.kill(appliance.pid, signal.SIGTERM)
    wait_until_refused(appliance)
    os.kill(appliance.pid, signal.SIGTERM)
    assert appliance.ended() == 0
    with pytest.raises(httpx.TransportError):
        list(stream)
    where = urlsplit(appliance.url)
    with pytest.raises(ConnectionError):
        socket.create_connection((where.hostname, where.port), timeout=PATIENCE).close()
