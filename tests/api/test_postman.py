"""The examples for trying out the API: the Postman collection and a script."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import Running

CLIENTS = Path(__file__).parents[2] / "packaging" / "clients"
COLLECTION = json.loads((CLIENTS / "appliance.postman_collection.json").read_text("utf-8"))
SCRIPT = CLIENTS / "try_rate_limit.py"

STATEMENTS = {
    "status": r"pm\.response\.to\.have\.status\((?P<status>\d+)\);",
    "property": (
        r"pm\.expect\(pm\.response\.json\(\)\)\.to\.have\.nested\.property\("
        r'"(?P<path>[^"]+)"(?:, (?P<value>.+))?\);'
    ),
    "length": r"pm\.expect\(pm\.response\.json\(\)\)\.to\.have\.lengthOf\((?P<length>\d+)\);",
    "text": r"pm\.expect\(pm\.response\.text\(\)\)\.to\.include\((?P<text>\".*\")\);",
    "header": (
        r'pm\.expect\(pm\.response\.headers\.get\("(?P<header>[^"]+)"\)\)'
        r'\.to\.include\("(?P<part>[^"]+)"\);'
    ),
    "set": (
        r'pm\.collectionVariables\.set\("(?P<name>\w+)", pm\.response\.json\(\)\.(?P<key>\w+)'
        r"\);"
    ),
}
"""The statements that the collection's scripts may contain; any other fails the test."""


def requests_of(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        if "item" in item:
            yield from requests_of(item["item"])
        else:
            yield item


def at(document: Any, path: str) -> Any:
    """What chai's nested properties name, such as `data[0].id`."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        document = document[int(index)] if index else document[name]
    return document


def holds(statement: str, response: httpx.Response, variables: dict[str, str]) -> None:
    found = {kind: re.fullmatch(pattern, statement) for kind, pattern in STATEMENTS.items()}
    ((kind, match),) = [(kind, match) for kind, match in found.items() if match]
    parts = match.groupdict()
    if kind == "status":
        assert response.status_code == int(parts["status"]), response.text
    elif kind == "property":
        value = at(response.json(), parts["path"])
        assert parts["value"] is None or value == json.loads(parts["value"])
    elif kind == "length":
        assert len(response.json()) == int(parts["length"])
    elif kind == "text":
        assert json.loads(parts["text"]) in response.text
    elif kind == "header":
        assert parts["part"] in response.headers[parts["header"]]
    else:
        variables[parts["name"]] = response.json()[parts["key"]]


def test_the_postman_collection_holds_from_top_to_bottom(running: Running) -> None:
    variables = {entry["key"]: entry["value"] for entry in COLLECTION["variable"]}
    variables["baseUrl"] = running.url

    def filled(text: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda name: variables[name[1]], text)

    assert COLLECTION["auth"]["bearer"][0]["value"] == "{{apiKey}}"
    done = 0
    for item in requests_of(COLLECTION["item"]):
        request = item["request"]
        headers = {entry["key"]: entry["value"] for entry in request["header"]}
        response = httpx.request(
            request["method"],
            filled(request["url"]["raw"]),
            headers={**headers, "Authorization": f"Bearer {variables['apiKey']}"},
            content=filled(request["body"]["raw"]) if "body" in request else None,
            timeout=60,
        )
        ((script),) = [event["script"]["exec"] for event in item["event"]]
        assert script
        for statement in script:
            try:
                holds(filled(statement), response, variables)
            except (AssertionError, LookupError, ValueError) as ex:
                raise AssertionError(f"{item['name']}: {statement}: {response.text}") from ex
        done += 1
    assert done >= 20


@pytest.mark.parametrize("limit", [3, 0])
def test_the_rate_limit_script_reports_the_limit(limit: int, tmp_path: Path) -> None:
    appliance = Running(tmp_path, APPLIANCE_LIMITS_DEFAULT_RATE_LIMIT_PER_MINUTE=str(limit)).start()
    ended = subprocess.run(
        [sys.executable, SCRIPT, appliance.url, "--requests", "5"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert appliance.stop() == 0
    assert ended.returncode == 0, ended.stdout + ended.stderr
    if limit:
        assert "3 answered and 2 refused, with a limit of 3 a minute." in ended.stdout
        assert ended.stdout.count("429") == 2
        assert "Retry-After" in ended.stdout
    else:
        assert "There is no limit" in ended.stdout


def test_the_script_says_when_something_else_is_wrong(running: Running) -> None:
    ended = subprocess.run(
        [sys.executable, SCRIPT, running.url + "/nowhere"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "404" in ended.stdout
