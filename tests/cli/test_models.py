"""The commands about models: with a service, and without one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import paths
from tests.models.fake_hub import Behaviour, Hub, serving
from tests.models.gguf_writer import llama
from tests.running import Running
from tests.waiting import wait_until

EMBEDDED = "smollm2-135m-instruct"
REPO = "Qwen/Qwen2.5-0.5B-Instruct-GGUF"
FILE = "qwen2.5-0.5b-instruct-q4_k_m.gguf"
CONTENT = llama(n_layer=2).encoded(seed=1)


class Commands:
    """`appliance …` with one data folder, as `Running` has it."""

    def __init__(self, running: Running) -> None:
        self.environment = {**running._environment, "HOME": str(running.data.parent)}

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "appliance", *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, typed: str = "", fails: str = "", **environment: str) -> str:
        """Its output; `fails`: part of the error message, if it must fail."""
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(typed, timeout=180)
        assert process.returncode == (1 if fails else 0), (out, err)
        assert fails in err
        return out

    def json(self, *arguments: str, **environment: str) -> Any:
        return json.loads(self.run(*arguments, "--json", **environment))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        hub.repos[REPO] = {FILE: CONTENT}
        yield hub


@pytest.fixture(scope="module")
def quiet_hub() -> Iterator[Hub]:
    """Of the appliances with and without a service."""
    with serving() as hub:
        hub.repos[REPO] = {FILE: CONTENT}
        yield hub


@pytest.fixture(scope="module", params=["with a service", "without one"])
def there(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, quiet_hub: Hub
) -> Iterator[Running]:
    """A data folder, and in one half of the tests a service on it."""
    appliance = Running(
        tmp_path_factory.mktemp("there"),
        HF_ENDPOINT=quiet_hub.url,
        APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="20",
    )
    if request.param == "with a service":
        appliance.start()
    yield appliance
    if request.param == "with a service":
        assert appliance.stop() == 0


@pytest.fixture
def alone(tmp_path: Path, hub: Hub) -> Running:
    """A data folder without a service."""
    return Running(tmp_path, HF_ENDPOINT=hub.url)


def test_a_model_is_pulled_listed_shown_and_removed(there: Running) -> None:
    appliance = Commands(there)
    pulled = appliance.json("pull", "Qwen/Qwen2.5-0.5B-Instruct", "--quantization", "q4")
    assert (pulled["status"], pulled["repo"], pulled["file"]) == ("done", REPO, FILE)
    file = there.data / "models" / REPO / FILE
    assert file.read_bytes() == CONTENT
    listed = {model["id"]: model for model in appliance.json("list")}
    assert set(listed) == {EMBEDDED, file.stem}
    text = appliance.run("list")
    assert EMBEDDED in text and file.stem in text and "bundled" in text
    for name in (file.stem, REPO, "Qwen/Qwen2.5-0.5B-Instruct"):
        assert appliance.json("show", name)["path"] == str(file)
    assert str(file) in appliance.run("show", file.stem)
    assert appliance.json("rm", file.stem) == {"removed": file.stem}
    assert not file.exists()
    assert [model["id"] for model in appliance.json("list")] == [EMBEDDED]


def test_what_is_not_there_or_not_ours_is_an_error_of_one_line(there: Running) -> None:
    appliance = Commands(there)
    for arguments, error_text in (
        (["show", "nobody"], "nobody"),
        (["rm", "nobody"], "nobody"),
        (["stop", "nobody"], "nobody"),
        (["run", "nobody", "Hello"], "nobody"),
        (["pull", "nobody"], "nobody"),
        (["pull", f"{REPO}:Q5_K_M"], "Q4_K_M"),
        (["rm", EMBEDDED], "came with the appliance"),
    ):
        appliance.run(*arguments, fails=error_text)


def test_rm_leaves_what_another_program_has(there: Running, tmp_path: Path) -> None:
    file = there.data / "models" / "mine.gguf"
    file.parent.mkdir(parents=True, exist_ok=True)
    theirs = tmp_path / "theirs.gguf"
    theirs.write_bytes(CONTENT)
    file.symlink_to(theirs)
    appliance = Commands(there)
    wait_until(lambda: '"mine"' in appliance.run("list", "--json"), "it is not found")
    appliance.run("rm", "mine")
    assert theirs.exists()
    assert not file.is_symlink()


def test_a_question_is_answered(there: Running) -> None:
    appliance = Commands(there)
    assert appliance.run("run", EMBEDDED, "What is the capital of France?").strip()
    assert appliance.run("run", EMBEDDED, typed="Say hello.").strip()
    whole = appliance.json("run", EMBEDDED, "Say hello.")
    assert whole["choices"][0]["message"]["content"]
    assert not (there.data / "service.json").exists() or there.url


def test_ps_and_stop(there: Running) -> None:
    appliance = Commands(there)
    served = bool(there.url)
    assert [model["id"] for model in appliance.json("ps")] == ([EMBEDDED] if served else [])
    assert (EMBEDDED in appliance.run("ps")) is served
    assert appliance.json("stop", EMBEDDED)["status"] == "unloaded"
    assert appliance.json("ps") == []


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def parts(folder: Path) -> int:
    """Bytes that have arrived."""
    return sum(part.stat().st_size for part in folder.rglob("*.part"))


@pytest.fixture(params=["default", "ignored"])
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """How a command inherits Ctrl-C: shells have background commands of a script ignore it."""
    ignored = request.param == "ignored"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupted_pull_is_gone_on_with(alone: Running, hub: Hub) -> None:
    big = paths.embedded_model().read_bytes()[:4_000_000]
    hub.repos[REPO] = {FILE: big}
    hub.plan = [Behaviour(cut=1_000_000, stall=True)]
    appliance = Commands(alone)
    with appliance.start("pull", REPO) as process:
        until(lambda: parts(alone.data) == 1_000_000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on" in err
    assert appliance.json("pull", REPO)["status"] == "done"
    assert (alone.data / "models" / REPO / FILE).read_bytes() == big
    assert hub.starts() == [0, 1_000_000]


@pytest.mark.usefixtures("interrupts")
def test_an_interrupted_reply_ends(alone: Running) -> None:
    alone.start()
    with Commands(alone).start("run", EMBEDDED, "Tell me a very long story.") as process:
        assert process.stdout
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 1
    assert alone.stop() == 0


@pytest.mark.usefixtures("interrupts")
def test_the_service_goes_on_with_a_pull_that_nobody_watches(alone: Running, hub: Hub) -> None:
    hub.plan = [Behaviour(cut=100_000, stall=True)]
    alone.start(ready=False)
    appliance = Commands(alone)
    with appliance.start("pull", REPO) as process:
        until(lambda: parts(alone.data) == 100_000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "service goes on" in err
    hub.release.set()
    until((alone.data / "models" / REPO / FILE).exists)
    assert alone.stop() == 0


def test_a_pull_that_fails_says_why(alone: Running, hub: Hub) -> None:
    hub.hashes[FILE] = "0" * 64
    appliance = Commands(alone)
    appliance.run("pull", REPO, fails="hash")
    assert not (alone.data / "models" / REPO).exists()
    appliance.run("pull", REPO, fails="HF_HUB_OFFLINE", HF_HUB_OFFLINE="1")


def test_token_home_and_proxy_are_honoured(alone: Running, hub: Hub, tmp_path: Path) -> None:
    hub.token = "hf_secret"
    appliance = Commands(alone)
    appliance.run("pull", REPO, fails=REPO)
    home = tmp_path / "hf"
    home.mkdir()
    (home / "token").write_text("hf_secret")
    # The hub acts as the proxy: it receives requests for another host.
    elsewhere = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": hub.url}
    assert appliance.json("pull", REPO, HF_HOME=str(home), **elsewhere)["status"] == "done"
    assert {a.headers["host"] for a in hub.asked[1:]} == {"hub.invalid"}
    shutil.rmtree(alone.data / "models" / REPO)
    assert appliance.json("pull", REPO, HF_TOKEN="hf_secret")["status"] == "done"


def test_nothing_else_asks_the_hub(there: Running, quiet_hub: Hub) -> None:
    appliance = Commands(there)
    before = list(quiet_hub.asked)
    for arguments in (["list"], ["show", EMBEDDED], ["ps"], ["stop", EMBEDDED], ["doctor"]):
        appliance.run(*arguments)
    appliance.run("run", EMBEDDED, "Hello")
    assert quiet_hub.asked == before


def test_a_service_that_wants_keys_knows_its_own_user(tmp_path: Path) -> None:
    alone = Running(tmp_path, APPLIANCE_SECURITY_ENABLE_AUTH="true", API_KEY="a-long-enough-key")
    alone.start(ready=False)
    appliance = Commands(alone)
    assert appliance.json("show", EMBEDDED)["id"] == EMBEDDED
    assert alone.stop() == 0


@pytest.mark.skipif(os.name == "nt", reason="a terminal of its own is a POSIX matter")
def test_a_conversation_in_a_terminal(tmp_path: Path) -> None:
    import pty

    alone = Running(tmp_path, APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS="20").start()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "run", EMBEDDED],
        env=Commands(alone).environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(ours, b"My name is Ada.\nWhat is my name?\n\x04")
    out, err = process.communicate(timeout=180)
    os.close(ours)
    assert process.returncode == 0, err
    assert out.count("> ") >= 2
    assert len(out.strip()) > 10
    assert alone.stop() == 0
