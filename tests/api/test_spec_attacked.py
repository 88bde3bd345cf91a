"""schemathesis attacks every route of `/openapi.json`; no response may be a server error.

It checks statuses, content types and bodies against the document as well. The settings list
what is excluded, and why.
"""

import random
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.running import Running

SETTINGS = """
[checks.not_a_server_error]
# Responses that ask to retry, and those of a full disk.
expected-statuses = ["2xx", "3xx", "4xx", "503", "507"]

# No schema says that a reply's prompt must fit.
[checks.positive_data_acceptance]
enabled = false

# These two look at one address of a thing at a time. A chat has two, of which either deletes it; it
# can be restored; and to the original service's clients, who make ids themselves, one that is not
# there is an empty one.
[[operations]]
include-tag = ["Sessions", "Original service"]
checks.use_after_free.enabled = false
checks.ensure_resource_availability.enabled = false

[parameters]
"path.model" = "smollm2-135m-instruct"
"""

ASK_THE_NETWORK = ["post_api_downloads", "get_api_catalogue", "post_api_pull"]


def attack(folder: Path, *arguments: str) -> None:
    """Runs against its own appliance, which must be healthy afterwards."""
    settings = folder / "schemathesis.toml"
    settings.write_text(SETTINGS, "utf-8")
    appliance = Running(
        folder, APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="4", APPLIANCE_SECURITY_VAULT="file"
    ).start()
    try:
        ran = subprocess.run(
            [
                str(Path(sys.executable).with_name("st")),
                f"--config-file={settings}",
                "run",
                f"{appliance.url}/openapi.json",
                "--request-timeout=120",
                "--no-color",
                "--warnings=off",
                *(f"--exclude-operation-id={operation}" for operation in ASK_THE_NETWORK),
                *arguments,
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
        appliance.wait_ready()
        figures = httpx.get(f"{appliance.url}/api/status").json()["figures"]
        assert figures["worker_restarts"] == 0
    finally:
        assert appliance.stop() == 0
    errors = [line for line in appliance.log.read_text().splitlines() if '"level": "error"' in line]
    assert errors == []


def test_a_short_attack_finds_nothing(tmp_path: Path) -> None:
    attack(tmp_path, "--phases=fuzzing", "--max-examples=4", "--seed=4")


@pytest.mark.soak
def test_a_long_attack_finds_nothing(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    attack(tmp_path, "--max-examples=200", f"--seed={seed}")
