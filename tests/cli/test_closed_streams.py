"""Commands work, and damage nothing, with any of stdin, stdout and stderr closed."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from appliance.client import discovery
from tests.running import apart
from tests.waiting import wait_until

STREAMS = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}
CLOSED = [("stdin",), ("stdout",), ("stderr",), tuple(STREAMS)]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell closes them with this syntax")


def shell(words: str, closed: tuple[str, ...]) -> list[str]:
    program = f'exec "{sys.executable}" -m appliance {words}'
    return ["/bin/sh", "-c", f"{program} {' '.join(STREAMS[it] for it in closed)}"]


@pytest.mark.parametrize("closed", CLOSED, ids="+".join)
def test_commands(closed: tuple[str, ...], tmp_path: Path) -> None:
    environment = apart(tmp_path) | {"APPLIANCE_SECURITY_VAULT": "file"}
    for words in ("keys list --json", "nonsense"):
        done = subprocess.run(
            shell(words, closed), env=environment, capture_output=True, timeout=120, check=False
        )
        assert b"Traceback" not in done.stderr + done.stdout
        assert done.returncode == (2 if words == "nonsense" else 0), (words, done.stderr)
        if words == "keys list --json" and "stdout" not in closed:
            assert b'"keys"' in done.stdout


@pytest.mark.parametrize("closed", [("stdout",), tuple(STREAMS)], ids="+".join)
def test_the_service(closed: tuple[str, ...], tmp_path: Path) -> None:
    environment = apart(tmp_path)
    data = Path(environment["APPLIANCE_DATA_DIR"])
    with subprocess.Popen(shell("serve", closed), env=environment) as process:
        try:

            def found() -> discovery.RunningService | None:
                assert process.poll() is None
                return discovery.find_service(data)

            wait_until(lambda: found() is not None, "it does not start")
            service = found()
            assert service
            body = {"content": "Hello"}
            made = httpx.post(service.url + "/api/sessions", json={}, timeout=60)
            assert made.status_code == 201
            response = httpx.post(
                f"{service.url}/api/sessions/{made.json()['id']}/turns", json=body, timeout=120
            )
            assert response.status_code < 400, response.text
            if sys.platform == "linux":
                files = {f"/proc/{process.pid}/fd/{it}" for it in (0, 1, 2)}
                assert not any(".db" in str(Path(file).readlink()) for file in files)
        finally:
            process.terminate()
        assert process.wait(60) == 0
    assert not psutil.pid_exists(process.pid)
