"""Requests to an appliance with a GPU."""

from typing import Any

import httpx

from tests.running import Running

FOUR = " four"
"""The continuation that every device must produce."""
PATIENCE = 900
"""Seconds for a reply of an emulated GPU."""


def ask(appliance: Running, **changes: Any) -> httpx.Response:
    """Ask what comes after three, in as few tokens as possible: each takes a second there."""
    body = {"prompt": "One, two, three,", "max_tokens": 1, "temperature": 0, **changes}
    return httpx.post(f"{appliance.url}/v1/completions", json=body, timeout=PATIENCE)


def words(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["text"])


def status(appliance: Running) -> Any:
    return httpx.get(f"{appliance.url}/api/status").json()


def doctor(appliance: Running) -> str:
    return appliance.command("doctor").stdout


def model(appliance: Running) -> Any:
    return status(appliance)["models"][0]
