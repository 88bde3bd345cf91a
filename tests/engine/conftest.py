"""Engines for tests: the real model where it is fast enough, the fake runner for faults."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.engine.local.engine import LocalEngine
from appliance.engine.local.prestart import PrestartedWorker
from appliance.engine.protocol import Load
from tests.running import THREADS

FAKE_RUNNER = Path(__file__).with_name("fake_runner.py")

MakeEngine = Callable[..., LocalEngine]


def load_of(path: str, **changes: object) -> Load:
    fields: dict[str, object] = {
        "path": path,
        "template_command": tuple(paths.template_command()),
        "n_ctx": 2048,
        "n_batch": 256,
        "n_ubatch": 256,
        "n_seq_max": 4,
        "kv_unified": True,
        "n_threads": THREADS,
    }
    return Load(**(fields | changes))  # type: ignore[arg-type]


def real_engine(prestarted: PrestartedWorker | None = None, **changes: object) -> LocalEngine:
    """An engine with the embedded model in a worker process."""
    return LocalEngine(
        "real",
        load_of(str(paths.embedded_model()), **changes),
        command=paths.worker_command(),
        environment=worker_environment(),
        max_waiting=64,
        prestarted=prestarted,
    )


def fake_engine(
    path: str = "fake", *, environment: dict[str, str] | None = None, **changes: object
) -> LocalEngine:
    """The fake runner in a worker process of its own."""
    settings = {
        name: changes.pop(name)
        for name in (
            "max_waiting",
            "pong_timeout",
            "reading_timeout",
            "max_deaths",
            "back_off",
            "oom_kills",
            "suspect",
        )
        if name in changes
    }
    return LocalEngine(
        "fake",
        load_of(path, **changes),
        command=[sys.executable, str(FAKE_RUNNER)],
        environment={
            **worker_environment(),
            "PYTHONPATH": os.pathsep.join(sys.path),
            **(environment or {}),
        },
        **({"max_waiting": 64} | settings),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def _shared_engines() -> Iterator[dict[str, LocalEngine]]:
    engines: dict[str, LocalEngine] = {}
    yield engines
    for engine in engines.values():
        engine.close()


@pytest.fixture(params=["fake", "real"])
def engine(request: pytest.FixtureRequest, _shared_engines: dict[str, LocalEngine]) -> LocalEngine:
    """A ready engine, of each kind in turn; shared, so leave it idle."""
    kind = request.param
    if kind not in _shared_engines:
        # A context that the real model fills in a few seconds; the fake one's tokens are bytes.
        _shared_engines[kind] = fake_engine() if kind == "fake" else real_engine(n_ctx=768)
        _shared_engines[kind].start()
    engine = _shared_engines[kind]
    assert engine.wait_ready(600), engine.state
    return engine


@pytest.fixture
def make_fake() -> Iterator[MakeEngine]:
    """Starts fake engines that the test may break; waits until they are ready by default."""
    made: list[LocalEngine] = []

    def make(*arguments: object, wait: bool = True, **changes: object) -> LocalEngine:
        engine = fake_engine(*arguments, **changes)  # type: ignore[arg-type]
        made.append(engine)
        engine.start()
        if wait:
            assert engine.wait_ready(600), engine.state
        return engine

    yield make
    for engine in made:
        engine.close()
