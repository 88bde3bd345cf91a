"""Presets over the API: each key has its own."""

from typing import Any

import httpx
import pytest

from tests.running import Running


def test_a_preset_is_made_changed_and_deleted(running: Running) -> None:
    address = f"{running.url}/api/presets"
    made = httpx.post(
        address, json={"name": " Poet ", "settings": {"temperature": 1.2, "stop": ["END"]}}
    )
    assert made.status_code == 201
    preset = made.json()
    assert preset["name"] == "Poet"
    assert {k: v for k, v in preset["settings"].items() if v is not None} == {
        "temperature": 1.2,
        "stop": ["END"],
    }
    assert httpx.get(address).json() == {"presets": [preset]}
    again = httpx.post(address, json={"name": "Poet"})
    assert (again.status_code, again.json()["error"]["param"]) == (409, "name")
    one = f"{address}/{preset['id']}"
    changed = httpx.patch(one, json={"name": "Rhymer", "settings": {"stop": None, "seed": 3}})
    assert changed.json()["name"] == "Rhymer"
    assert changed.json()["settings"] == preset["settings"] | {"stop": None, "seed": 3}
    assert httpx.delete(one).status_code == 204
    assert httpx.delete(one).status_code == 404
    assert httpx.get(address).json() == {"presets": []}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "x", "settings": {"temperature": 3}}, "settings.temperature"),
        ({"name": "x", "settings": {"colour": 3}}, "settings.colour"),
        ({"name": "x", "colour": 3}, "colour"),
    ],
)
def test_a_bad_preset_is_refused_by_name(
    running: Running, body: dict[str, Any], param: str
) -> None:
    refused = httpx.post(f"{running.url}/api/presets", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert httpx.get(f"{running.url}/api/presets").json() == {"presets": []}
