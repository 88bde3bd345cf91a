"""When a client disconnects from a stateless request, its sequence is cancelled."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.running import Running, serving

PREFILL = {"prompt": "word " * 7000, "max_tokens": 500}
DECODE = {"prompt": "Once upon a time", "max_tokens": 4000, "temperature": 1.2}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One slot only: a sequence that kept running would make the next request wait."""
    yield from serving(
        tmp_path_factory.mktemp("alone"),
        APPLIANCE_ENGINE_N_SEQ_MAX="1",
        APPLIANCE_ENGINE_N_BATCH="64",
        APPLIANCE_ENGINE_N_UBATCH="64",
        APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="8000",
    )


def hang_up(
    appliance: Running, body: dict[str, object], after: float, path: str = "/v1/completions"
) -> None:
    host, _, port = appliance.url.removeprefix("http://").partition(":")
    data = json.dumps(body).encode()
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s"
            % (path.encode(), f"{host}:{port}".encode(), len(data), data)
        )
        time.sleep(after)


def slots_free_within(appliance: Running) -> float:
    """Seconds until another request gets through."""
    began = time.monotonic()
    response = httpx.post(
        appliance.url + "/v1/completions", json={"prompt": "hi", "max_tokens": 1}, timeout=120
    )
    assert response.status_code == 200
    return time.monotonic() - began


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("body", [PREFILL, DECODE], ids=["prefill", "decode"])
def test_its_sequence_is_cancelled(alone: Running, body: dict[str, object], stream: bool) -> None:
    whole = time.monotonic()
    assert slots_free_within(alone) < 30
    quick = time.monotonic() - whole
    hang_up(alone, {**body, "stream": stream}, after=0.6)
    # The prompt alone takes many seconds; one chunk of it and one short request take few.
    assert slots_free_within(alone) < quick + 4


ORIGINAL = {"prompt": "Once upon a time", "max-token": 4000, "ignore_eos": True}


@pytest.mark.parametrize("path", ["/chat/completions", "/completions"])
def test_an_original_clients_is_too(alone: Running, path: str) -> None:
    hang_up(alone, ORIGINAL, after=0.6, path=path)
    assert slots_free_within(alone) < 10


def test_an_original_clients_is_too_over_a_websocket(alone: Running) -> None:
    with connect(alone.url.replace("http://", "ws://") + "/chat/ws", proxy=None) as ws:
        ws.send(json.dumps(ORIGINAL))
        assert ws.recv(60)
    assert slots_free_within(alone) < 10


def test_a_request_that_waits_is_cancelled_too(alone: Running) -> None:
    hang_up(alone, {**DECODE, "stream": True}, after=0.3)
    hang_up(alone, {**PREFILL, "stream": True}, after=0.3)
    assert slots_free_within(alone) < 10
