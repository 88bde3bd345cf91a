"""An appliance whose best variant of llama.cpp has a fault answers as if it had none.

The variant is the real one with a few bytes of its code overwritten; see
`tests/tuning/faulty_variants.py`.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.system import llama_libraries
from tests.running import Running
from tests.tuning.faulty_variants import FAULTS, plant

QUESTION = {
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": 8,
    "temperature": 0,
}


def ask(appliance: Running) -> str:
    response = httpx.post(appliance.url + "/v1/chat/completions", json=QUESTION, timeout=300)
    response.raise_for_status()
    return str(response.json()["choices"][0]["message"]["content"])


def status(appliance: Running) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(appliance.url + "/api/status").json()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The variant and the reply of an appliance without a fault; measured again, the fastest
    variant might be another."""
    appliance = Running(tmp_path_factory.mktemp("whole")).start()
    variant, words = str(status(appliance)["models"][0]["variant"]), ask(appliance)
    assert appliance.stop() == 0
    return variant, words


@pytest.fixture(scope="module")
def best(whole: tuple[str, str]) -> str:
    """The variant that was found to be the fastest here; measured again, it might be its equal."""
    return whole[0]


@pytest.fixture(scope="module")
def right_words(whole: tuple[str, str]) -> str:
    return whole[1]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_request_is_answered_correctly_and_the_skipped_variant_is_reported(
    fault: str, best: str, right_words: str, tmp_path: Path
) -> None:
    planted = tmp_path / "libraries"
    planted.mkdir()
    plant(planted, best, fault)
    appliance = Running(
        tmp_path,
        LLAMA_CPP_LIB_PATH=str(planted),
        XDG_CACHE_HOME=str(tmp_path / "fresh"),  # nothing is known yet
    ).start(ready=False)

    assert ask(appliance) == right_words

    found = status(appliance)
    assert list(found["refused_variants"]) == [best]
    assert found["models"][0]["variant"] != best
    why = found["refused_variants"][best]
    assert f"variant {best} is not used: {why}" in appliance.command("doctor").stdout
    assert f"variant {best} is not used: {why}" in appliance.log.read_text()
    assert appliance.stop() == 0


def test_a_second_start_knows(best: str, tmp_path: Path) -> None:
    appliance = Running(tmp_path, XDG_CACHE_HOME=str(tmp_path / "fresh")).start()
    kept = tmp_path / "fresh" / "appliance" / "proof"
    (file,) = kept.iterdir()
    before = file.stat()
    appliance.stop()
    appliance.start()
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert appliance.stop() == 0


def test_what_a_wrong_variant_computed_is_forgotten(best: str, tmp_path: Path) -> None:
    """Its saved states, once it was found to be wrong."""
    cache = tmp_path / "fresh" / "appliance"
    wrong, other = cache / "kv" / f"{best}-cpu-1", cache / "kv" / "other-cpu-1"
    for folder in (wrong, other):
        folder.mkdir(parents=True)
        (folder / "0a-1-1.kv").write_bytes(b"state")
    planted = tmp_path / "libraries"
    planted.mkdir()
    plant(planted, best, "wrong")
    appliance = Running(
        tmp_path, LLAMA_CPP_LIB_PATH=str(planted), XDG_CACHE_HOME=str(tmp_path / "fresh")
    ).start()
    assert not wrong.exists()
    assert other.exists()
    assert appliance.stop() == 0


def test_a_worker_that_dies_in_native_code_twice_gets_another_variant(tmp_path: Path) -> None:
    # Each process measures by itself: of two equally fast ones, another may choose the other.
    appliance = Running(tmp_path, XDG_CACHE_HOME=str(tmp_path / "fresh")).start()
    best = status(appliance)["models"][0]["variant"]

    used = []
    for _ in range(2):
        appliance.wait_ready()
        pid = appliance.worker_pid
        os.kill(pid, signal.SIGILL)
        wait_for_another_worker(appliance, pid)
        assert ask(appliance)
        used.append(status(appliance)["models"][0]["variant"])

    assert used[0] == best  # it was verified again, and is correct
    assert used[1] != best
    assert used[1] in llama_libraries.variants()
    assert "under suspicion: SIGILL" in appliance.log.read_text()
    assert appliance.stop() == 0


def test_it_is_not_ready_while_every_worker_dies(tmp_path: Path) -> None:
    appliance = Running(tmp_path).start()
    for _ in range(2):
        pid = appliance.worker_pid
        os.kill(pid, signal.SIGKILL)
        wait_for_another_worker(appliance, pid)
        wait_until_loaded(appliance)

    response = httpx.get(appliance.url + "/readiness")

    assert response.status_code == 503
    assert response.json()["status"] == "failing"
    assert "SIGKILL" in response.json()["models"][0]["detail"]
    assert ask(appliance)  # a request may still succeed
    assert httpx.get(appliance.url + "/readiness").status_code == 200
    assert appliance.stop() == 0


def wait_for_another_worker(appliance: Running, pid: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if appliance.worker_pid != pid:
                return
        except ValueError:
            pass  # none at the moment, or one that tries variants besides
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_loaded(appliance: Running) -> None:
    deadline = time.monotonic() + 60
    while status(appliance)["models"][0]["state"] == "loading":
        assert time.monotonic() < deadline
        time.sleep(0.05)
