"""`appliance doctor` says what is there, for people and for programs."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.running import Running


def doctor(folder: Path, *arguments: str) -> str:
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
