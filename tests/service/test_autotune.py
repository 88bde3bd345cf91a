"""Automatic tuning: models get faster after a while, and requests are never delayed."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from appliance.config.paths import embedded_model
from appliance.system.fingerprint import fingerprint
from tests.api import sse
from tests.models.gguf_writer import llama
from tests.running import Running
from tests.tuning import quick_tuner

TUNING_SECONDS = 180


def tuned(folder: Path) -> Path:
    return folder / "cache" / "appliance" / "tuned"


def wait_for_log(running: Running, words: str) -> None:
    """Wait until the log contains it."""
    deadline = time.monotonic() + TUNING_SECONDS
    while not re.search(words, running.log.read_text()):
        assert time.monotonic() < deadline, running.log.read_text()[-2000:]
        time.sleep(0.1)


def ask(running: Running) -> str:
    response = httpx.post(
        running.url + "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8},
        timeout=120,
    )
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of an appliance that has tuned its embedded model automatically."""
    folder = tmp_path_factory.mktemp("tuned")
    tune_automatically(folder, quick_tuner.COMMAND)
    return folder


def tune_automatically(folder: Path, command: Sequence[str]) -> None:
    """Run an appliance until it has tuned its embedded model."""
    running = Running(folder, command=command, APPLIANCE_ENGINE_TUNE="true").start()
    try:
        wait_for_log(running, "smollm2-135m-instruct runs fast|other programs were busy")
        running.wait_ready()
        assert ask(running)
    finally:
        assert running.stop() == 0


@pytest.fixture(scope="module")
def profile(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tuning results."""
    (found,) = tuned(home).glob("*.json")
    return Path(shutil.copy(found, tmp_path_factory.mktemp("profile")))


def test_the_embedded_model_is_tuned_soon_after_the_first_start(profile: Path) -> None:
    check(profile)


@pytest.mark.soak
def test_it_is_measured_for_as_long_as_it_takes(tmp_path: Path) -> None:
    tune_automatically(tmp_path, (sys.executable, "-m", "appliance"))
    (profile,) = tuned(tmp_path).glob("*.json")
    check(profile)


def check(profile: Path) -> None:
    """It is one of the embedded model, and true to it."""
    found = json.loads(profile.read_bytes())
    assert found["source"] == str(embedded_model())
    assert found["best"]["kl"] <= 0.01
    assert found["trials"]
    assert found["best"]["speed"]["prefill"] > 0
    assert profile.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["cut short", "a tensor is missing"])
def test_weights_that_cannot_be_loaded_give_way_to_the_original(
    home: Path, profile: Path, damage: str
) -> None:
    found = json.loads(profile.read_bytes())
    broken = tuned(home) / f"{profile.stem}-broken.gguf"
    whole = embedded_model().read_bytes()
    # Our own header check finds the first, only llama.cpp the second.
    renamed = whole.replace(b"blk.3.attn_q.weight", b"blk.3.attn_x.weight")
    broken.write_bytes(whole[:1_000_000] if damage == "cut short" else renamed)
    found["best"] |= {
        "file": broken.name,
        "speed": {"prefill": 9e3, "decode": 900, "decode_8": 900},
    }
    found["best"]["setting"]["layout"] = "Q8_0"
    found["file"] = fingerprint(broken)
    place = tuned(home) / profile.name
    place.write_text(json.dumps(found))
    running = Running(home, APPLIANCE_ENGINE_TUNE="true").start()
    try:
        assert "is given up" in running.log.read_text()
        assert ask(running)
        assert not broken.exists()
    finally:
        assert running.stop() == 0


def test_a_request_ends_a_tuning(tmp_path: Path) -> None:
    running = Running(
        tmp_path, APPLIANCE_ENGINE_TUNE="true", APPLIANCE_SERVER_LOG_LEVEL="debug"
    ).start()
    try:
        wait_for_log(running, "measuring the model as shipped")
        asked = {"messages": [{"role": "user", "content": "Count to fifty."}], "stream": True}
        with httpx.stream(
            "POST", running.url + "/v1/chat/completions", json=asked, timeout=60
        ) as response:
            assert next(sse.events(response))
            deadline = time.monotonic() + 20
            while list(tuned(tmp_path).glob("*.part")):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert not list(tuned(tmp_path).glob("*.json"))
    finally:
        assert running.stop() == 0


def test_bench_and_tune_for_people_and_programs(home: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("APPLIANCE_")}
        folders = {"XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "none")}
        return subprocess.run(
            [*quick_tuner.COMMAND, *arguments],
            env=clean | folders | {"APPLIANCE_DATA_DIR": str(home / "data")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    table = run("bench", "--rounds", "1")
    assert table.returncode == 0, table.stderr
    assert "as shipped" in table.stdout and "one stream" in table.stdout
    llama(n_ctx=2048).save(home / "data" / "models" / "tiny.gguf")
    figures = json.loads(run("bench", "tiny", "--rounds", "1", "--json").stdout)
    assert figures["as shipped"]["tokens_per_second"]["decode"] > 0
    assert run("tune", "--forget").returncode == 0
    assert not list(tuned(home).glob("*.json"))
    missing = run("bench", "no-such-model")
    assert missing.returncode == 1
    assert "no-such-model" in missing.stderr and "appliance list" in missing.stderr
