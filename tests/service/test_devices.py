"""`device` in requests: a missing device is replaced by the processor, with a warning."""

from typing import Any

import httpx
import pytest

from tests.api.chat.chats import new_session, turn
from tests.running import Running

CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
GONE = "metal is not available: smollm2-135m-instruct runs on cpu"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/completions", {"prompt": "Hi", "max_tokens": 2}),
        ("/v1/embeddings", {"input": "Hi"}),
    ],
)
def test_a_device_that_is_not_there_is_warned_of(
    running: Running, path: str, body: dict[str, Any]
) -> None:
    for device, warning in (("metal", GONE), ("cpu", None), ("auto", None)):
        response = httpx.post(running.url + path, json={**body, "device": device}, timeout=60)
        assert response.status_code == 200
        assert response.headers.get("X-Appliance-Warning") == warning


def test_the_warning_is_in_turns_log_and_state(running: Running) -> None:
    session = new_session(running)
    accepted = dict(turn(session, "Hi", max_tokens=2, device="metal"))["accepted"]
    assert accepted["warning"] == GONE
    assert GONE in running.log.read_text()
    (model, *_) = httpx.get(running.url + "/api/status").json()["models"]
    assert (model["device"], model["warning"]) == ("cpu", GONE)
    accepted = dict(turn(session, "Hi", max_tokens=2, device="cpu"))["accepted"]
    assert accepted["warning"] is None
    (model, *_) = httpx.get(running.url + "/api/status").json()["models"]
    assert model["warning"] is None


def test_a_device_that_nobody_knows_is_refused(running: Running) -> None:
    response = httpx.post(running.url + "/v1/chat/completions", json={**CHAT, "device": "abacus"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "device"
    assert response.json()["error"]["message"] == (
        "device: needs auto, cpu, cuda, metal or vulkan, or a device's name such as Vulkan0"
    )


@pytest.mark.parametrize("device", ["vulkan", "VULKAN", "Vulkan0", "cuda12", "MTL0"])
def test_families_and_names_are_known_in_any_case(running: Running, device: str) -> None:
    response = httpx.post(
        running.url + "/v1/completions",
        json={"prompt": "Hi", "max_tokens": 1, "device": device},
        timeout=60,
    )
    assert response.headers["X-Appliance-Warning"].startswith(f"{device.lower()} is not available")


def test_the_processor_is_listed_with_its_memory(running: Running) -> None:
    (processor,) = httpx.get(running.url + "/api/status").json()["devices"]
    assert (processor["family"], processor["trust"]) == ("cpu", "trusted")
    assert processor["total"] >= processor["free"] > 0
