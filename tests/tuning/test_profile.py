"""Stored profiles: any doubt means the original file."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.system import hardware
from appliance.tuning.profile import discard, profile_for, prune
from tests.tuning.fake_tuner import REWRITTEN, SHIPPED, printing, tuned


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(random.Random(1).randbytes(300_000))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tuned"


def spoil(change: Callable[[dict[str, Any]], None]) -> Callable[[Path, Path], None]:
    def spoiled(model: Path, folder: Path) -> None:
        place = next(folder.glob("*.json"))
        profile = json.loads(place.read_bytes())
        change(profile)
        place.write_text(json.dumps(profile))

    return spoiled


def on_profile(change: Callable[[Path], object]) -> Callable[[Path, Path], object]:
    return lambda model, folder: change(next(folder.glob("*.json")))


def on_weights(change: Callable[[Path], object]) -> Callable[[Path, Path], object]:
    return lambda model, folder: change(next(folder.glob("*.gguf")))


def into_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


DOUBTS: dict[str, Callable[[Path, Path], object]] = {
    "profile empty": on_profile(lambda file: file.write_bytes(b"")),
    "profile cut": on_profile(lambda file: os.truncate(file, file.stat().st_size // 2)),
    "profile nonsense": on_profile(lambda file: file.write_bytes(b"\xff" * 100)),
    "profile nested": on_profile(lambda file: file.write_bytes(b"[" * 100_000)),
    "profile gone": on_profile(Path.unlink),
    "other version": spoil(lambda profile: profile.update(version=2)),
    "other model": spoil(lambda profile: profile.update(model="0" * 32)),
    "other machine": spoil(lambda profile: profile.update(hardware="0" * 16)),
    "other build": spoil(lambda profile: profile.update(build="0" * 16)),
    "another model by KL": spoil(lambda profile: profile["best"].update(kl=0.02)),
    "KL is no number": spoil(lambda profile: profile["best"].update(kl=None)),
    "no threads": spoil(lambda profile: profile["best"]["setting"].update(n_threads=0)),
    "unknown KV type": spoil(lambda profile: profile["best"]["setting"].update(type_k="q2")),
    "file elsewhere": spoil(lambda profile: profile["best"].update(file="../model.gguf")),
    "no file": spoil(lambda profile: profile["best"].update(file="")),
    "weights gone": on_weights(Path.unlink),
    "weights cut": on_weights(lambda file: os.truncate(file, 1000)),
    "weights changed": on_weights(flip),
    "weights a folder": on_weights(into_folder),
    "model changed": lambda model, folder: flip(model),
    "model gone": lambda model, folder: model.unlink(),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_any_doubt_means_the_original_file(doubt: str, model: Path, folder: Path) -> None:
    profile = tuned(model, folder, printing(SHIPPED, REWRITTEN))
    assert profile_for(model, folder) == profile
    DOUBTS[doubt](model, folder)
    assert profile_for(model, folder) is None


def test_other_machine_has_other_profiles(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tuned(model, folder, printing(SHIPPED, REWRITTEN))
    monkeypatch.setattr(hardware, "hardware", lambda: "1" * 16)
    assert profile_for(model, folder) is None
    there = tuned(model, folder, printing(SHIPPED))
    assert profile_for(model, folder) == there
    monkeypatch.undo()
    assert profile_for(model, folder) == here


def test_no_folder_is_no_profile(model: Path, folder: Path) -> None:
    assert profile_for(model, folder) is None
    prune(folder)
    discard(model, folder)
    assert not folder.exists()


def test_discarded_is_gone(model: Path, folder: Path) -> None:
    tuned(model, folder, printing(SHIPPED, REWRITTEN))
    discard(model, folder)
    assert profile_for(model, folder) is None
    assert list(folder.iterdir()) == []


def test_prune_removes_what_serves_nobody(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = model.with_name("gone.gguf")
    gone.write_bytes(b"another" * 1000)
    kept = tuned(model, folder, printing(SHIPPED, REWRITTEN))
    tuned(gone, folder, printing(SHIPPED, REWRITTEN))
    orphan = folder / f"{'2' * 32}-{hardware.hardware()}-12345678.gguf"
    elsewhere = folder / f"{'2' * 32}-{'3' * 16}-12345678.gguf"
    orphan.touch()
    elsewhere.touch()
    gone.unlink()
    prune(folder)
    assert profile_for(model, folder) == kept
    assert len(list(folder.iterdir())) == 3
    assert elsewhere.exists()
    monkeypatch.setattr(hardware, "build", lambda: "4" * 16)
    prune(folder)
    assert list(folder.iterdir()) == [elsewhere]


def test_machine_is_the_same_each_time() -> None:
    assert (hardware.hardware(), hardware.build()) == (hardware.hardware(), hardware.build())
