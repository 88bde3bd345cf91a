"""A worker process started before its model is known: used at most once, by the first engine."""

import contextlib
import time

import psutil
import pytest

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.engine.local.prestart import PrestartedWorker
from tests.engine.conftest import MakeEngine, load_of, real_engine
from tests.engine.engine_client import ask


def begun(**settings: float) -> PrestartedWorker:
    return PrestartedWorker(paths.worker_command(), worker_environment(), **settings)


def waiting() -> set[int]:
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # gone in between
            if child.cmdline()[-2:] == ["worker", "ahead"]:
                found.add(child.pid)
    return found


def wait_until_gone() -> None:
    deadline = time.monotonic() + 20
    while waiting():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_first_engine_gets_it_and_answers_and_the_next_a_new_one() -> None:
    prestarted = begun()
    (ahead,) = waiting()
    first, second = real_engine(prestarted), real_engine(prestarted)
    try:
        first.start()
        assert first.wait_ready(600), first.state
        assert first.worker_pid == ahead
        assert ask(first, "Say hello.").text
        second.start()
        assert second.wait_ready(600), second.state
        assert second.worker_pid != ahead
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("same", [True, False])
def test_it_is_for_the_model_that_it_has_begun_to_load(same: bool) -> None:
    n_ctx = 512
    prestarted = begun()
    (ahead,) = waiting()
    prestarted.load(load_of(str(paths.embedded_model()), n_ctx=n_ctx))
    engine = real_engine(prestarted, n_ctx=n_ctx if same else 2 * n_ctx)
    try:
        engine.start()
        assert engine.wait_ready(600), engine.state
        assert (engine.worker_pid == ahead) is same
        assert engine.state.model
        assert engine.state.model.n_ctx == engine._load.n_ctx
        assert ask(engine, "Say hello.").text
    finally:
        engine.close()
    assert not waiting()


def test_one_that_died_waiting_is_passed_over() -> None:
    prestarted = begun()
    (ahead,) = waiting()
    process = psutil.Process(ahead)
    process.kill()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    engine = real_engine(prestarted)
    try:
        engine.start()
        assert engine.wait_ready(600), engine.state
        assert engine.state.restarts == 0
    finally:
        engine.close()


def test_it_is_not_used_for_another_program(make_fake: MakeEngine) -> None:
    begun(timeout_seconds=5)
    (ahead,) = waiting()
    assert make_fake().worker_pid != ahead
    assert waiting() == {ahead}
    wait_until_gone()


def test_an_unused_worker_ends() -> None:
    begun(timeout_seconds=0.2)
    assert waiting()
    wait_until_gone()
