"""`appliance doctor` says what is there, for people and for programs."""

import json
import subprocess
import sys
from pathlib import Path


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
