"""`appliance keys`: its output, and what it refuses."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.running import Running


@pytest.fixture
def appliance(tmp_path: Path) -> Running:
    return Running(tmp_path, APPLIANCE_SECURITY_VAULT="file")


def keys(appliance: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    return appliance.command("keys", *arguments)


def test_a_key_is_made_listed_and_revoked(appliance: Running) -> None:
    made = keys(appliance, "create", "office", "--scope", "manage", "--rpm", "5", "--json")
    document = json.loads(made.stdout)
    assert document["key"].startswith("apl_")
    assert (document["name"], document["scope"], document["rpm"]) == ("office", "manage", 5)
    plain = keys(appliance, "create", "home")
    assert plain.stdout.strip().startswith("apl_") and len(plain.stdout.splitlines()) == 1
    assert "nobody can see it again" in plain.stderr
    listed = keys(appliance, "list", "--json")
    assert [key["name"] for key in json.loads(listed.stdout)["keys"]] == ["office", "home"]
    for text in (listed.stdout, keys(appliance, "list").stdout):
        assert document["key"] not in text and plain.stdout.strip() not in text
    assert keys(appliance, "revoke", "home").returncode == 0
    revoked = keys(appliance, "revoke", document["id"], "--json")
    assert json.loads(revoked.stdout) == {"revoked": document["id"]}
    assert keys(appliance, "list").stdout == ""


@pytest.mark.parametrize(
    ("when", "seconds"), [("90d", 90 * 86400), ("12h", 12 * 3600), ("30m", 1800), ("2099-12-31", 0)]
)
def test_a_key_expires_at_its_time(appliance: Running, when: str, seconds: int) -> None:
    made = json.loads(keys(appliance, "create", "x", "--expires", when, "--json").stdout)
    if seconds:
        assert abs(made["expires_at"] / 1000 - time.time() - seconds) < 120
    else:
        # The whole of that day, in any time zone.
        assert 4102358400 <= made["expires_at"] / 1000 - 86400 + 50400 <= 4102358400 + 2 * 50400
    assert "until" in keys(appliance, "list").stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", ""), "1 to 64 characters"),
        (("create", "x", "--rpm", "0"), "1 or more"),
        (("create", "x", "--expires", "soon"), "90d"),
        (("create", "x", "--expires", "2001-01-01"), "future"),
        (("create", "x", "--scope", "root"), "root"),
        (("revoke", "nobody"), "no key"),
    ],
)
def test_errors_are_reported(appliance: Running, arguments: tuple[str, ...], expected: str) -> None:
    ended = keys(appliance, *arguments)
    assert ended.returncode != 0
    assert expected in ended.stderr and "Traceback" not in ended.stderr


def test_two_keys_of_one_name_are_distinguished_by_id(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path,
        config='[security]\nvault = "file"\napi_keys = [{key="an-old-key-of-20-chars", name="x"}]',
    )
    made = json.loads(keys(appliance, "create", "x", "--json").stdout)
    ambiguous = keys(appliance, "revoke", "x")
    assert ambiguous.returncode == 1 and "Several" in ambiguous.stderr
    assert keys(appliance, "revoke", made["id"]).returncode == 0


def test_a_file_that_others_can_read_is_refused(appliance: Running) -> None:
    keys(appliance, "create", "x")
    (appliance.data / "keys.json").chmod(0o644)
    refused = keys(appliance, "list")
    assert refused.returncode == 1 and "chmod 600" in refused.stderr
