"""Floods of large messages, bodies and responses leave no memory in use."""

import contextlib
import copy
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.http.ws_server import HANDSHAKE
from tests.running import Running
from tests.waiting import wait_until

FAKE_SERVICE = Path(__file__).with_name("fake_service.py")
ROOT = Path(__file__).resolve().parents[2]
MESSAGE = 8 * 1024 * 1024
MEGABYTE = 1_000_000
BACK = 50 * MEGABYTE
"""Permitted permanent growth of memory."""
HELD = 128 * 1024 * 1024
AT_WORK = 250 * MEGABYTE
"""Permitted peak during a flood besides the connections' buffers: four large responses under
construction, and the delay until connections are closed."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform != "linux", reason="how glibc gives memory back"),
]


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(
        tmp_path_factory.mktemp("floods"),
        command=[sys.executable, str(FAKE_SERVICE)],
        PYTHONPATH=str(ROOT),
        APPLIANCE_SERVER_LOG_LEVEL="error",
    ).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def large(appliance: Running) -> str:
    """The path of a response of 7 MB."""
    url = appliance.url
    session = f"{url}/api/sessions/{httpx.post(f'{url}/api/sessions', json={}).json()['id']}"
    httpx.post(f"{session}/turns", json={"content": "Hello", "max_tokens": 1}, timeout=60)
    wait_until(lambda: not httpx.get(session).json()["live_message_id"], "it does not end")
    file = httpx.get(f"{session}/export").json()
    first, *_ = file["messages"]
    file["messages"] = []
    for number in range(70):
        before = file["messages"][-1]["id"] if number else None
        message = copy.deepcopy(first) | {"content": "x" * 100_000, "parent_id": before}
        file["messages"].append(message | {"id": f"{first['id'][:-3]}{number:03}"})
    file["session"]["leaf_id"] = file["messages"][-1]["id"]
    made = httpx.post(f"{url}/api/sessions/import", json=file, timeout=60).json()
    path = f"/api/sessions/{made['id']}/messages"
    assert len(httpx.get(url + path, timeout=60).content) > 7 * MEGABYTE
    return path


class Flood:
    """Many connections that send something and then stall."""

    def __init__(self, appliance: Running) -> None:
        address = urlsplit(appliance.url)
        self._address = (address.hostname or "", address.port or 0)
        self.host = f"127.0.0.1:{address.port}"
        self._process = psutil.Process(appliance.pid)

    @property
    def memory(self) -> int:
        """The service's memory."""
        size: int = self._process.memory_info().rss
        return size

    def run(self, count: int, head: str, rest: bytes, *, reads: bool) -> int:
        """Peak memory during the flood; the connections are closed afterwards."""
        with ExitStack() as stack:

            def one() -> None:
                it = socket.socket()
                stack.callback(it.close)
                if not reads:
                    it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                it.settimeout(60)
                with contextlib.suppress(OSError):
                    it.connect(self._address)
                    it.sendall(head.encode())
                    if reads:
                        it.recv(4096)
                    it.sendall(rest)

            threads = [threading.Thread(target=one) for _ in range(count)]
            for thread in threads:
                thread.start()
            most, ends = 0, time.monotonic() + 5
            while any(thread.is_alive() for thread in threads) or time.monotonic() < ends:
                most = max(most, self.memory)
                time.sleep(0.02)
        return most


def messages(flood: Flood, _large: str) -> int:
    lines = ["GET /chat/ws HTTP/1.1", f"Host: {flood.host}", *HANDSHAKE]
    head = "\r\n".join([*lines, "Sec-WebSocket-Protocol: appliance.v1", "", ""])
    frame = b"\x81\xff" + MESSAGE.to_bytes(8, "big") + bytes(4)
    return flood.run(80, head, frame + b"x" * (MESSAGE - 10), reads=True)


def bodies(flood: Flood, _large: str) -> int:
    lines = ["POST /v1/chat/completions HTTP/1.1", f"Host: {flood.host}"]
    lines += ["Content-Type: application/json", f"Content-Length: {MESSAGE}", "", ""]
    return flood.run(200, "\r\n".join(lines), b"x" * (MESSAGE - 10), reads=False)


def readers(flood: Flood, large: str) -> int:
    head = f"GET {large} HTTP/1.1\r\nHost: {flood.host}\r\n\r\n"
    return flood.run(200, head, b"", reads=False)


@pytest.mark.parametrize("kind", [messages, bodies, readers])
def test_memory_is_bounded_and_comes_back(
    appliance: Running, large: str, kind: Callable[[Flood, str], int]
) -> None:
    flood = Flood(appliance)
    time.sleep(12)  # memory from before is trimmed
    before = flood.memory
    most = kind(flood, large)
    print(f"{kind.__name__}: {before / 1e6:.0f} MB before, {most / 1e6:.0f} at most", end=", ")
    assert most - before < HELD + AT_WORK
    wait_until(lambda: flood.memory - before < BACK, "memory does not come back")
    print(f"{flood.memory / 1e6:.0f} after")
    assert httpx.get(appliance.url + "/health").status_code == 200
