"""The frozen worker on a processor without AVX uses a variant that runs there, and answers."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.running import Running
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "dist" / "appliance-server" / "appliance"
SLOW = 500.0
"""Seconds for steps that take one without qemu."""

pytestmark = pytest.mark.packages


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Running]:
    """Started, not yet ready."""
    if shutil.which("qemu-x86_64") is None:
        pytest.skip("qemu-x86_64 is missing: install the Debian package `qemu-user`")
    if not PROGRAM.exists():
        pytest.skip("there is no frozen folder: `make frozen-server` makes it")
    starter = [sys.executable, str(Path(__file__).with_name("old_processor.py"))]
    one = Running(
        tmp_path,
        command=[*starter, str(PROGRAM), "Nehalem"],
        PYTHONPATH=str(ROOT),
        APPLIANCE_ENGINE_N_CTX="512",
    ).start(ready=False)
    yield one
    assert one.stop() == 0


def test_the_worker_answers_without_avx(old: Running) -> None:
    wait_until(
        lambda: httpx.get(old.url + "/readiness", timeout=60).status_code == 200,
        f"not ready, see {old.log}",
        SLOW,
    )
    workers = [
        one for one in psutil.Process(old.pid).children() if Path(one.exe()).name == "qemu-x86_64"
    ]
    assert workers, "it does not run on the old processor"
    maps = Path(f"/proc/{workers[0].pid}/maps").read_text(encoding="utf-8")
    assert set(re.findall(r"libggml-cpu-(\w+)\.so", maps)) == {"sse42"}
    response = httpx.post(
        old.url + "/v1/chat/completions",
        json={
            "model": "smollm2-135m-instruct",
            "messages": [{"role": "user", "content": "Say yes."}],
            "max_tokens": 2,
            "temperature": 0,
        },
        timeout=SLOW,
    )
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"]
