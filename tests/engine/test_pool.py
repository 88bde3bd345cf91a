"""Models to be kept loaded are retried automatically when loading fails."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.engine.base import ModelSpec
from appliance.engine.serving import model_lifecycle
from appliance.engine.serving import pool as module
from appliance.engine.serving.pool import Pool
from appliance.engine.types import EmbedRequest
from appliance.errors import ModelLoadFailed
from tests.engine.conftest import fake_engine
from tests.engine.test_faults import until

MakePool = Callable[..., Pool]


class Disk:
    """The state of the model's file on disk."""

    path = "fake"
    stamp = 0
    need = 0
    free = 100

    def read(self) -> int:
        if self.need < 0:
            raise ModelLoadFailed("it is not there")
        return self.need


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def pool(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.setattr(module, "JANITOR_SECONDS", 0.01)
    monkeypatch.setattr(model_lifecycle, "RETRY_FAILED_SECONDS", 0.02)
    make: Any = lambda: fake_engine(disk.path, back_off=(0.0,))  # noqa: E731
    spec = ModelSpec(
        id="fake", name="fake", make=make, need=disk.read, stamp=lambda: disk.stamp, prewarm=True
    )
    made = Pool([spec], free_memory=lambda: disk.free, keep_alive_seconds=0, max_loaded=0)
    yield made
    made.close()


def test_memory_that_is_free_again(
    pool: Pool, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.need = 1000
    pool.start()
    model = pool.find(None)
    until(lambda: model.state.status == "failed" and model.prewarm_retry is not None)
    first = model.prewarm_retry
    until(lambda: model.prewarm_retry != first)
    assert caplog.text.count("cannot be loaded") == 1, "every attempt is logged"
    disk.free = 1000
    until(lambda: model.ready)


def test_a_file_that_killed_workers_and_was_replaced(pool: Pool, disk: Disk) -> None:
    disk.path = "crash"
    pool.start()
    model = pool.find(None)
    until(lambda: model.state.quarantined)
    disk.path = "fake"
    assert not model.ready
    disk.stamp = 1
    until(lambda: model.ready)


def test_a_file_that_killed_workers_is_left_alone(pool: Pool, disk: Disk) -> None:
    disk.path = "crash"
    pool.start()
    model = pool.find(None)
    until(lambda: model.state.quarantined)
    engine = model.engine
    with pytest.raises(ModelLoadFailed):
        model.embed(EmbedRequest(inputs=[]), lambda event: None)
    assert model.engine is engine


def test_what_a_person_unloaded_stays_away(pool: Pool, disk: Disk) -> None:
    disk.need = -1
    pool.start()
    model = pool.find(None)
    until(lambda: model.prewarm_retry is not None)
    model.unload()
    disk.need = 0
    assert model.prewarm_retry is None
    pool.clear_failure(["fake"])
    assert model.state.status == "unloaded"
    model.load()
    until(lambda: model.ready)
