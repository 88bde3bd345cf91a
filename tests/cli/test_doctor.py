"""`appliance doctor` reports the state of the machine, as text and as JSON."""

import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.client.discovery import DataFolderLock, RunningService, publish
from appliance.config import paths
from appliance.config.loader import load
from appliance.diagnostics import checks, gpus
from appliance.diagnostics.doctor import render
from tests.running import Running, know_variants


def doctor(folder: Path, *arguments: str) -> str:
    know_variants(folder / ".cache")
    return subprocess.run(
        [sys.executable, "-m", "appliance", "doctor", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_for_programs(tmp_path: Path) -> None:
    found = json.loads(doctor(tmp_path, "--json"))
    library = found["llama.cpp"]
    assert any(device["kind"] == "cpu" for device in library["devices"])
    assert library["version"]
    assert found["memory"]["total"] >= found["memory"]["available"] > 0
    (model,) = found["models"]
    assert model["need"] > 100_000_000


def test_for_people(tmp_path: Path) -> None:
    text = doctor(tmp_path)
    for word in ("llama.cpp", "backend", "device CPU", "memory", "SQLite", "smollm2"):
        assert word in text


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[models.available_models]]\nid = "gone"\npath = "gone.gguf"\n')
    assert "gone.gguf" in doctor(tmp_path, "--config", str(config))


def test_a_running_service_and_its_chats(running: Running) -> None:
    httpx.post(running.url + "/api/sessions", json={})
    text = running.command("doctor").stdout
    assert f"at {running.url}, process {running.pid}: ready; WebSocket works" in text
    assert re.search(r"appliance\.db: [1-9]\d* chats, [\d.]+ MB, undamaged", text)
    assert re.search(r"window (by (gtk|qt)|none)", text)


@pytest.mark.parametrize(
    ("state", "detail", "expected"),
    [
        ("loading", "", "loading its model, 40%"),
        ("failed", "its file is gone", "failed: its file is gone"),
        ("failing", "signal 4", "failing: signal 4"),
        ("unloaded", "", "unloaded"),
        ("", "", "503"),
    ],
)
def test_a_service_that_is_not_ready_says_how_it_is(state: str, detail: str, expected: str) -> None:
    status = {"running": True, "version": "1", "url": "http://here", "pid": 1, "websocket": "101"}
    health = {"http": "503", "state": state, "progress": 0.4, "detail": detail}
    assert f"process 1: {expected}; WebSocket works" in checks._service_line(status | health)


def test_what_is_wrong_around_it_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "appliance.db").write_bytes(b"no database at all " * 100)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = tmp_path / "config.toml"
        config.write_text(f'[server]\nport = {port}\n[data]\ndir = "{data}"\n')
        text = doctor(tmp_path, "--config", str(config))
    assert f"port {port} is in use by " in text
    assert f"(process {os.getpid()})" in text
    assert "is damaged or no database" in text
    assert "service not running" in text


README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def advised(case: str, *phrases: str) -> str:
    """Checks that the README has doctor's line for that case; returns a pattern of the line."""
    (row,) = [line for line in README.splitlines() if line.startswith(f"| {case}")]
    assert [one for one in phrases if f"`{one}`" not in row] == []
    return ".*".join(re.escape(one).replace("…", ".+") for one in phrases)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Doctor's report for a machine where nothing is wrong."""
    return json.loads(doctor(tmp_path_factory.mktemp("home"), "--json"))


def test_no_gpu_is_found(found: Any) -> None:
    devices = [one for one in found["llama.cpp"]["devices"] if one["kind"] == "cpu"]
    text = render({**found, "llama.cpp": {**found["llama.cpp"], "devices": devices}})
    assert re.search(advised("no GPU is found", "device GPU none"), text)


def test_why_no_gpu_is_found(tmp_path: Path) -> None:
    missing = {"vulkan": "libvulkan.so.1: cannot open shared object file"}
    assert "none is here" in gpus.why_none(missing, tmp_path)
    node = tmp_path / "dri" / "renderD128"
    node.parent.mkdir()
    node.touch()
    node.chmod(0o660)
    owner, other = (gpus.User(uid, frozenset()) for uid in (node.stat().st_uid, 12345))
    member = gpus.User(12345, frozenset({node.stat().st_gid}))
    closed = gpus.why_none({}, tmp_path, other)
    assert f"{node} is there, and this user may not use it" in closed
    for user in (owner, member):
        assert "cannot be loaded (libvulkan.so.1" in gpus.why_none(missing, tmp_path, user)
        assert "no driver of Vulkan's knows it" in gpus.why_none({}, tmp_path, user)


def test_a_model_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"no model at all")
    config = tmp_path / "config.toml"
    config.write_text(f'[[models.available_models]]\nid = "bad"\npath = "{tmp_path}/bad.gguf"\n')
    text = doctor(tmp_path, "--config", str(config))
    assert re.search(advised("a model cannot be loaded", "model …") + "bad.gguf", text)


def test_the_port_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = tmp_path / "config.toml"
        config.write_text(f"[server]\nport = {other.getsockname()[1]}\n")
        text = doctor(tmp_path, "--config", str(config))
    assert re.search(
        advised("the port is in use", "port … is in use by …") + str(os.getpid()), text
    )


def test_it_is_slow(found: Any) -> None:
    here = {"threads": 2, "of": 4, "load": 7.5}
    text = render({**found, "processor": here})
    pattern = advised("it is slow", "other programs want it too", "backend …")
    assert re.search(pattern, text, re.DOTALL)
    assert "other programs" not in render({**found, "processor": here | {"load": 3.0}})


def test_memory_runs_out(found: Any) -> None:
    text = render({**found, "memory": {**found["memory"], "available": 100_000_000}})
    assert re.search(advised("memory runs out", "more than the … that are free"), text)


def test_limits_are_reported_with_their_source(found: Any) -> None:
    quota = {"processors": 1.5, "limited_by": "/sys/fs/cgroup/cpu.max"}
    processor = {"threads": 1, "of": 8, "load": None, "quota": quota}
    memory = {"total": 2e9, "available": 1e9, "limited_by": "/sys/fs/cgroup/memory.max"}
    text = render({**found, "processor": processor, "memory": memory})
    assert "processor 1 thread of 8 (a quota of 1.5 by /sys/fs/cgroup/cpu.max)\n" in text
    assert "memory 1.0 GB free of 2.0 GB, as /sys/fs/cgroup/memory.max limits it\n" in text


def test_the_database_is_locked(running: Running) -> None:
    text = running.command("doctor").stdout
    pattern = advised("the database is locked", "service … at …, process …", "undamaged")
    assert re.search(pattern, text, re.DOTALL)
    second = running.command("serve")
    assert second.returncode != 0
    assert str(running.pid) in second.stderr and running.url in second.stderr


def test_there_is_no_page(found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "ui_dir", lambda _config: tmp_path)
    text = render({**found, **checks.run_checks(load(None, environ={}))})
    assert re.search(advised("there is no page", "the page was not built"), text)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no folder in memory is known here")
def test_chats_are_gone_after_a_restart(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        config = tmp_path / "config.toml"
        config.write_text(f'[data]\ndir = "{folder}"\n')
        text = doctor(tmp_path, "--config", str(config))
    pattern = advised("chats are gone", "data folder …", "and gone …")
    assert re.search(pattern, text, re.DOTALL) and folder in text


def test_the_websocket_fails(running: Running, found: Any, tmp_path: Path) -> None:
    text = running.command("doctor").stdout
    assert re.search(advised("the WebSocket fails", "WebSocket works"), text)
    # A server that answers every request, but upgrades none.
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}"
        lock = DataFolderLock(tmp_path)
        publish(tmp_path, RunningService(url, os.getpid(), "0"))
        config = load(None, environ={"APPLIANCE_DATA_DIR": str(tmp_path)})
        text = render({**found, **checks.run_checks(config)})
        lock.release()
        other.shutdown()
    assert "WebSocket fails (501)" in text
