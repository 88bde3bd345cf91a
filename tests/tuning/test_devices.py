"""Stored results of comparing a GPU with the processor, and comparisons that fail.

The comparison itself runs in `tests/engine/vulkan`.
"""

import sys
import time
from pathlib import Path

import msgspec
import pytest

from appliance.config.environment import worker_environment
from appliance.engine.device_results import (
    MAX_MEAN,
    MAX_WORST,
    SLOW,
    SLOW_SECONDS,
    ComparisonResult,
    ComparisonSubject,
    all_results,
    load_result,
    store_result,
)
from appliance.engine.protocol import Device
from appliance.tuning.devices.protocol import (
    CannotCompare,
    Compared,
    ComparisonEvent,
    ComparisonProgress,
)
from appliance.tuning.devices.verify import ComparisonOutcome, compare
from tests.engine.conftest import load_of

SUBJECT = ComparisonSubject(
    devices=("Vulkan0",),
    descriptions=("A GPU",),
    drivers=("1.0",),
    library="abc",
    model="def",
    settings="f16 f16 auto",
)


def result(
    source: Path,
    subject: ComparisonSubject = SUBJECT,
    mean: float | None = 0.006,
    worst: float | None = 0.02,
) -> ComparisonResult:
    return ComparisonResult(
        subject=subject, source=str(source), tokens=64, mean=mean, worst=worst, seconds=1.0
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.gguf"
    file.touch()
    return file


def test_a_result_is_known_until_something_changes(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "fidelity"
    assert load_result(SUBJECT, folder) is None
    store_result(result(model), folder)
    assert load_result(SUBJECT, folder) == result(model)
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    for name in SUBJECT.__struct_fields__:
        old = getattr(SUBJECT, name)
        new = f"{old}!" if isinstance(old, str) else (f"{old[0]}!",)
        assert load_result(msgspec.structs.replace(SUBJECT, **{name: new}), folder) is None


def test_a_file_that_is_damaged_is_no_result(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_result(result(model), tmp_path)
    file = next(tmp_path.glob("*.json"))
    for damaged in (b"", file.read_bytes()[:40], b"[" * 100_000, b'{"version": 2}'):
        file.write_bytes(damaged)
        assert load_result(SUBJECT, tmp_path) is None
        assert all_results(tmp_path) == []
    assert "is not used" in caplog.text


def test_what_serves_nothing_any_more_goes(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "fidelity"
    other, two = (msgspec.structs.replace(SUBJECT, library=name) for name in ("older", "newer"))
    gone = msgspec.structs.replace(SUBJECT, model="gone")
    store_result(result(tmp_path / "gone.gguf", gone), folder)
    store_result(result(model, other), folder)
    elsewhere = msgspec.structs.replace(SUBJECT, devices=("Vulkan1",))
    store_result(result(model, elsewhere), folder)
    store_result(result(model, two), folder)
    assert {it.subject.key for it in all_results(folder)} == {two.key, elsewhere.key}


def test_only_what_is_beyond_rounding_is_a_fault(model: Path) -> None:
    assert result(model, mean=MAX_MEAN, worst=MAX_WORST).fault == ""
    for mean, worst in ((MAX_MEAN * 1.1, 0.2), (0.01, MAX_WORST * 1.1)):
        fault = result(model, mean=mean, worst=worst).fault
        assert fault.startswith("it says something else than the processor: ")
    assert result(model, mean=None, worst=None).fault == "what it computes is no number"


def test_slowness_is_forgotten_after_a_day(tmp_path: Path, model: Path) -> None:
    for pace, age, known in ((0.4, 0.0, True), (0.4, SLOW_SECONDS, False), (0.6, 1e9, True)):
        store_result(
            msgspec.structs.replace(result(model), pace=pace, at=time.time() - age), tmp_path
        )
        found = load_result(SUBJECT, tmp_path)
        assert (found is not None) is known
        assert found is None or found.slow is (pace < SLOW)


def test_a_result_is_about_a_device_with_its_driver() -> None:
    device = Device(
        name="Vulkan0",
        description="A GPU",
        kind="gpu",
        family="vulkan",
        free=1,
        total=1,
        build="1.0",
    )
    assert SUBJECT.is_about(device, "abc")
    assert not SUBJECT.is_about(device, "abd")
    assert not SUBJECT.is_about(msgspec.structs.replace(device, build="1.1"), "abc")


# -- a comparison and its process ------------------------------------------------------------------


def script(*events: ComparisonEvent) -> str:
    """Code of a process that prints these events."""
    lines = [msgspec.json.encode(one).decode() for one in events]
    return f"import sys; sys.stdin.readline(); print(*{lines!r}, sep='\\n', flush=True)\n"


def outcome(folder: Path, code: str, **options: object) -> ComparisonOutcome:
    return compare(
        load_of("model.gguf", fidelity_folder=str(folder)),
        ("Vulkan0",),
        command=[sys.executable, "-c", code],
        environment=worker_environment(),
        **options,  # type: ignore[arg-type]
    )


def test_a_result_is_kept(tmp_path: Path, model: Path) -> None:
    found = outcome(tmp_path, script(ComparisonProgress("reading"), Compared(result(model))))
    assert found == ComparisonOutcome(result(model))
    assert load_result(SUBJECT, tmp_path) == result(model)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (script(CannotCompare("there is no room")), "there is no room"),
        ("import os; os.write(2, b'first\\nlast\\n'); os.abort()", "it died (signal 6)"),
        ("print('nonsense', flush=True); raise SystemExit(3)", "it died (exit code 3)"),
    ],
)
def test_an_unfinished_comparison_is_no_verdict(tmp_path: Path, code: str, why: str) -> None:
    found = outcome(tmp_path, code)
    assert found.result is None and found.why.startswith(why)
    assert not list(tmp_path.iterdir())


def test_a_process_that_says_nothing_any_more_hangs(tmp_path: Path) -> None:
    silent = script(ComparisonProgress("reading")) + "import time; time.sleep(3600)"
    found = outcome(tmp_path, silent, silence_seconds=1.0)
    assert found.result is None and found.why.startswith("it hung when it was compared")


def test_one_that_is_no_longer_wanted_ends_silently(tmp_path: Path) -> None:
    began = time.monotonic()
    found = outcome(
        tmp_path,
        "import time; time.sleep(3600)",
        stop=lambda: time.monotonic() > began + 0.2,
    )
    assert found == ComparisonOutcome(None)
