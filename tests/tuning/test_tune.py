"""Tuning: faster if possible, never a different model, and the original file after any failure."""

import hashlib
import random
import stat
import subprocess
import time
from array import array
from pathlib import Path

import msgspec
import pytest

from appliance.config.environment import worker_environment
from appliance.errors import ModelLoadFailed
from appliance.models.gguf.header import read_header
from appliance.tuning.profile import MAX_KL, MeasuredSpeed, profile_for, weights_of
from appliance.tuning.protocol import TuneRequest
from appliance.tuning.tune import render
from tests.models import gguf_writer
from tests.tuning import quick_tuner
from tests.tuning.fake_tuner import CHILD, REWRITTEN, SHIPPED, USUAL, best, printing, tuned


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights, confident enough that four-bit weights change its output."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    gguf_writer.llama(n_embd=256, n_ff=512, n_ctx=2048).save(path)
    header = read_header(path)
    draw = random.Random(3)
    with path.open("r+b") as file:
        for tensor in header.tensors:
            count = tensor.size // 4
            norm = tensor.name.endswith("norm.weight")
            scale = 0.2 if tensor.name == "output.weight" else 0.06
            values = [1.0] * count if norm else [draw.gauss(0, scale) for _ in range(count)]
            file.seek(header.data_offset + tensor.offset)
            file.write(array("f", values).tobytes())
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(random.Random(1).randbytes(300_000))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tuned"


# -- with llama.cpp --------------------------------------------------------------------------------

QUICK = [*quick_tuner.COMMAND, "tuner"]


def test_tunes_and_stays_true(tiny: Path, folder: Path) -> None:
    digest, before = hashlib.sha256(tiny.read_bytes()).digest(), tiny.stat()
    lines: list[str] = []
    profile = tuned(tiny, folder, QUICK, progress=lines.append, budget_seconds=3000)
    after = tiny.stat()
    assert hashlib.sha256(tiny.read_bytes()).digest() == digest
    assert (before.st_mtime_ns, before.st_mode) == (after.st_mtime_ns, after.st_mode)
    assert profile.best.kl <= MAX_KL
    near = {trial.what: trial.kl for trial in profile.trials}["weights F16"]
    assert near is not None and 0 < near < MAX_KL
    assert profile_for(tiny, folder) == profile
    assert lines


def test_what_is_beyond_the_bound_is_never_chosen(tiny: Path, folder: Path) -> None:
    bound = 1e-7
    profile = tuned(tiny, folder, QUICK, max_kl=bound, budget_seconds=3000)
    beyond = [trial.what for trial in profile.trials if trial.kl is not None and trial.kl > bound]
    assert {"weights F16", "weights Q8_0"} <= set(beyond)
    assert profile.best.kl <= bound
    assert profile.best.setting.layout == ""
    assert weights_of(profile, folder) is None


def test_no_memory_and_no_disk_leave_the_weights(
    tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tuned(tiny, folder, QUICK, memory_bytes=1000, budget_seconds=600).best.file == ""
    monkeypatch.setattr("appliance.tuning.tune.DISK_RESERVE", 1 << 62)
    assert tuned(tiny, folder, QUICK, budget_seconds=600).best.file == ""


def test_an_unreadable_model_is_reported(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "none.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelLoadFailed, match=r"none\.gguf"):
        tuned(path, folder)
    assert list(folder.iterdir()) == []


def test_child_ends_with_its_parent(tiny: Path, tmp_path: Path) -> None:
    request = TuneRequest(
        model=str(tiny),
        folder=str(tmp_path),
        seconds=600,
        max_kl=MAX_KL,
        disk_bytes=1 << 40,
        memory_bytes=-1,
    )
    child = subprocess.Popen(
        CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=worker_environment()
    )
    assert child.stdin and child.stdout
    child.stdin.write(msgspec.json.encode(request) + b"\n")
    child.stdin.flush()
    assert child.stdout.readline()
    child.stdin.close()
    assert child.wait(120) == 0
    child.stdout.close()


@pytest.mark.parametrize("shipped", ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K - Medium"])
@pytest.mark.parametrize("bits", [2.0, 4.5, 8.5, 16.0, 32.0])
def test_no_candidate_is_much_larger(shipped: str, bits: float) -> None:
    from appliance.tuning.process.weight_types import MAX_GROWTH, faithful, lossy, size_of

    n_params = 1_000_000
    size = int(n_params * bits / 8)
    candidates = [*faithful(shipped, size, n_params), *lossy(shipped, size, n_params)]
    assert all(size_of(layout, n_params) <= MAX_GROWTH * size for layout in candidates)
    assert len({layout.name for layout in candidates}) == len(candidates)
    assert all(not shipped.startswith(layout.name) for layout in candidates)


# -- any behaviour of the child --------------------------------------------------------------------


def test_what_is_chosen_is_kept_beside_the_profile(model: Path, folder: Path) -> None:
    profile = tuned(model, folder, printing(SHIPPED, REWRITTEN))
    weights = weights_of(profile, folder)
    assert weights is not None and weights.read_bytes() == b"weights" * 100_000
    assert profile.best.setting.layout == "Q8_0"
    assert profile_for(model, folder) == profile
    assert len(list(folder.iterdir())) == 2
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in folder.iterdir())
    assert "0.0040" in render(profile)


@pytest.mark.parametrize(
    "unfit",
    [
        best(kl=MAX_KL * 1.01),
        best(kl=1e300),
        best(MeasuredSpeed(prefill=900, decode=20, decode_8=90)),
        best(file="../model.gguf", setting=msgspec.structs.replace(USUAL, layout="Q8_0")),
        {"type": "best", "kl": -1},
        ["nonsense"],
    ],
)
def test_what_is_not_fit_is_never_chosen(unfit: object, model: Path, folder: Path) -> None:
    profile = tuned(model, folder, printing(SHIPPED, unfit))
    assert profile.best == SHIPPED
    assert profile_for(model, folder) == profile


def test_crash_costs_what_was_not_measured(model: Path, folder: Path) -> None:
    die = "os.kill(os.getpid(), signal.SIGKILL)"
    profile = tuned(model, folder, printing(SHIPPED, REWRITTEN, then=die))
    assert profile.best.setting.layout == "Q8_0"
    assert profile_for(model, folder) == profile


def test_crash_before_anything_leaves_nothing(model: Path, folder: Path) -> None:
    before = model.read_bytes()
    with pytest.raises(ModelLoadFailed, match="last words"):
        tuned(model, folder, printing(then="sys.exit('last words')"))
    assert list(folder.iterdir()) == []
    assert model.read_bytes() == before
    assert profile_for(model, folder) is None


def test_time_is_bounded(model: Path, folder: Path) -> None:
    began = time.monotonic()
    profile = tuned(model, folder, printing(SHIPPED, then="time.sleep(600)"), budget_seconds=1)
    assert time.monotonic() - began < 300  # half of what it wants to take
    assert profile.best == SHIPPED


def test_another_try_replaces_the_one_before(model: Path, folder: Path) -> None:
    tuned(model, folder, printing(SHIPPED, REWRITTEN))
    profile = tuned(model, folder, printing(SHIPPED))
    assert profile_for(model, folder) == profile
    assert [file.suffix for file in folder.iterdir()] == [".json"]
