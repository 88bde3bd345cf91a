"""Chats expire only once somebody has agreed to it, and what has expired can be restored."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import WITHOUT_MODEL, Running
from tests.waiting import wait_until


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Running]:
    """With a configuration file as the original service's, in which chats have a time to live."""
    appliance = Running(
        tmp_path, config="[limits]\nsession_ttl_seconds = 0.1\n", command=WITHOUT_MODEL
    ).start()
    yield appliance
    assert appliance.stop() == 0


def storage(appliance: Running) -> Any:
    return httpx.get(appliance.url + "/api/status").json()["storage"]


def sessions(appliance: Running) -> list[str]:
    found = httpx.get(appliance.url + "/api/sessions").json()["sessions"]
    return [session["id"] for session in found]


def clean_up(appliance: Running) -> None:
    """Have the cleanup run: it does whenever something is deleted."""
    for _ in range(2):
        one = httpx.post(appliance.url + "/api/sessions", json={}).json()["id"]
        time.sleep(0.2)  # longer than chats live
        httpx.delete(f"{appliance.url}/api/sessions/{one}")


def test_nothing_expires_before_somebody_agrees(appliance: Running) -> None:
    chat = httpx.post(appliance.url + "/api/sessions", json={}).json()["id"]
    clean_up(appliance)
    assert storage(appliance)["expiry"] == {"ttl_seconds": 0.1, "confirmed": False}
    assert sessions(appliance) == [chat]
    assert "None is until somebody confirms it" in appliance.log.read_text()
    assert "not confirmed, so none does" in appliance.command("doctor").stdout

    for wrong, status in ((7, 409), (0, 400), ("x", 400)):
        refused = httpx.post(appliance.url + "/api/expiry", json={"ttl_seconds": wrong})
        assert (refused.status_code, refused.json()["error"]["param"]) == (status, "ttl_seconds")
    assert not storage(appliance)["expiry"]["confirmed"]

    agreed = httpx.post(appliance.url + "/api/expiry", json={"ttl_seconds": 0.1})
    assert agreed.status_code == 204
    assert "confirmed)" in appliance.command("doctor").stdout
    clean_up(appliance)
    wait_until(lambda: chat not in sessions(appliance), "it does not expire")
    assert storage(appliance)["expired"] == [chat]
    assert httpx.post(f"{appliance.url}/api/sessions/{chat}/restore").status_code == 200
