"""The engines' counters: tokens computed and saved, requests, restarts, bytes."""

import os
import signal

from appliance.engine.base import ModelSpec
from appliance.engine.counters import Counters
from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Queued
from appliance.engine.serving.pool import Pool
from appliance.engine.types import SamplingParams
from tests.engine.conftest import MakeEngine, fake_engine
from tests.engine.engine_client import CollectedReply, ask, chat
from tests.engine.test_faults import ENDLESS, SLOW, until

SHORT = SamplingParams(temperature=0, max_tokens=5)


def grown(engine: LocalEngine, before: Counters) -> dict[str, int]:
    after = engine.counters
    return {
        name: getattr(after, name) - getattr(before, name)
        for name in Counters.__struct_fields__
        if not name.startswith("kv_")
    }


def test_tokens_computed_and_saved_are_what_the_replies_report(engine: LocalEngine) -> None:
    before = engine.counters
    story = "There was a fox who lived by a river and counted. " * 20
    ends = [ask(engine, chat(story + end), SHORT).finished for end in ("Why?", "Why not?")]
    prompt = sum(end.prompt_tokens for end in ends)
    saved = sum(end.cached_tokens for end in ends)
    assert saved > 100
    assert grown(engine, before) == {
        "requests": 2,
        "prompt_tokens": prompt,
        "prefilled_tokens": prompt - saved,
        "saved_tokens": saved,
        "completion_tokens": sum(end.completion_tokens for end in ends),
        "failed_requests": 0,
        "worker_restarts": 0,
        "running": 0,
        "waiting": 0,
    }
    assert engine.counters.kv_bytes >= ends[-1].prompt_tokens


def test_who_runs_and_who_waits(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, n_seq_max=1)
    running = CollectedReply(engine, "running", ENDLESS)
    assert running.begun.wait(180)
    waiting = CollectedReply(engine, "waiting", SHORT)
    until(lambda: any(isinstance(event, Queued) for event in waiting.events))
    assert (engine.counters.running, engine.counters.waiting) == (1, 1)
    engine.cancel(running.id)
    waiting.wait()
    assert (engine.counters.running, engine.counters.waiting) == (0, 0)


def test_a_worker_that_dies_takes_no_counts_along(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)
    ask(engine, "a prompt of some length", SHORT)
    before = engine.counters
    assert before.kv_bytes > 0
    reply = CollectedReply(engine, "Something else", SamplingParams(max_tokens=300))
    assert reply.begun.wait(180)
    os.kill(engine.worker_pid or 0, signal.SIGKILL)
    until(lambda: engine.state.restarts == 1)
    assert (engine.counters.running, engine.counters.kv_bytes) == (0, 0)
    end = reply.wait().finished
    after = engine.counters
    assert (after.worker_restarts, after.failed_requests, after.requests) == (1, 0, 2)
    assert after.prompt_tokens == before.prompt_tokens + len("Something else")
    assert after.completion_tokens == before.completion_tokens + end.completion_tokens


def test_counts_outlive_the_engine_of_a_model() -> None:
    spec = ModelSpec(id="fake", name="fake", make=fake_engine)
    pool = Pool([spec], free_memory=lambda: 1, keep_alive_seconds=0, max_loaded=0)
    model = pool.find(None)
    assert model.counters == Counters()
    ends = []
    for _ in range(2):
        engine = pool.engine_of(model)
        assert isinstance(engine, LocalEngine)
        ends.append(ask(engine, "the same words", SHORT).finished)
        model.unload()
    counters = model.counters
    assert counters.requests == 2
    assert counters.prefilled_tokens == sum(end.prompt_tokens for end in ends)
    assert (counters.running, counters.waiting, counters.kv_bytes) == (0, 0, 0)
    pool.close()
