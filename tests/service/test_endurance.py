"""Endurance: memory, files, threads and database rows do not grow with the number of requests."""

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from appliance.config import paths
from tests.models.gemma import gemma_file
from tests.running import Running
from tests.service.endurance import Run, Sample, write

CONFIG = """
[[models.available_models]]
id = "first"
path = "{}"
context_length = 2048

[[models.available_models]]
id = "second"
path = "{}"
context_length = 2048
"""
FIGURES = Path(__file__).resolve().parents[2] / "build" / "endurance.json"
SECONDS = float(os.environ.get("SOAK_SECONDS", "7200"))


def lives(folder: Path, *, short: int, long: int, seconds: float, swap_every: int = 250) -> Run:
    """An appliance with two models of which only one fits into memory at a time."""
    appliance = Running(
        folder,
        config=CONFIG.format(paths.embedded_model(), gemma_file()),
        APPLIANCE_MODELS_MAX_LOADED="1",
        APPLIANCE_ENGINE_KV_DISK_MB="64",
        APPLIANCE_ENGINE_KV_MEMORY_MB="64",
        APPLIANCE_DATA_UNDO_SECONDS="10",
        APPLIANCE_SERVER_LOG_LEVEL="warning",
    ).start()
    run = Run(appliance, folder / "cache", short, long, seconds, swap_every)
    try:
        run.go()
        run.sample()
    finally:
        assert appliance.stop() == 0
    return run


def test_requests_of_all_kinds_are_answered(tmp_path: Path) -> None:
    run = lives(tmp_path, short=60, long=1, seconds=1, swap_every=20)
    assert run.responses.total() == 61
    assert run.responses["200"] > 30


@pytest.mark.soak
def test_nothing_grows_in_a_long_life(tmp_path: Path) -> None:
    run = lives(
        tmp_path,
        short=round(40_000 * SECONDS / 7200),
        long=round(200 * SECONDS / 7200),
        seconds=SECONDS,
    )
    write(run, FIGURES)
    count = len(run.samples)
    early, late = run.samples[count // 10 : count // 3], run.samples[-count // 4 :]

    def grown(figure: Callable[[Sample], float]) -> float:
        return median(map(figure, late)) - median(map(figure, early))

    assert grown(lambda sample: sample.service_mb) <= 30
    assert grown(lambda sample: sample.worker_mb) <= 50
    assert grown(lambda sample: sample.files) <= 10
    assert grown(lambda sample: sample.threads) <= 5
    assert grown(lambda sample: sample.database_mb) <= 5
    assert max(sample.states_mb for sample in late) <= 64 * 1.1
