"""Long runs: a thousand cancellations, a hundred deaths and a hundred hangs of the worker."""

import os
import random
import signal
import time
from collections import Counter

import pytest

from appliance.engine.protocol import Prefill
from appliance.engine.types import SamplingParams
from tests.engine.conftest import MakeEngine, real_engine
from tests.engine.engine_client import CollectedReply, ask
from tests.engine.fake_runner import reply_to

pytestmark = pytest.mark.soak

GREEDY = SamplingParams(temperature=0, max_tokens=12)


@pytest.mark.parametrize("quarter", range(4))
def test_a_thousand_cancellations_at_random_moments_on_the_real_model(quarter: int) -> None:
    """In four parts, each a few minutes at most."""
    # Short steps, so that a prompt takes several and can be cancelled between them.
    engine = real_engine(n_batch=32, n_ubatch=32)
    engine.start()
    assert engine.wait_ready(600)
    chance = random.Random(quarter)
    moments = Counter[str]()
    prompt = "The capital of France is"
    wanted = ask(engine, prompt, GREEDY).text
    for round_ in range(250):
        victim = CollectedReply(
            engine,
            # The number first: a beginning shared with another prompt would be cached.
            str(round_) + " word" * chance.choice([1, 50, 400, 900]),
            SamplingParams(max_tokens=200),
        )
        time.sleep(chance.random() * chance.choice([0.002, 0.05, 0.3]))
        moments[moment(victim)] += 1
        engine.cancel(victim.id)
        after = CollectedReply(engine, prompt, GREEDY)
        assert len(victim.wait().terminals) == 1
        assert after.wait().finished.reason in ("length", "stop")
    assert engine.state.restarts == 0
    assert min(moments["queued"], moments["prefill"], moments["decode"]) > 0, moments
    print(f"quarter {quarter}: cancelled while {dict(moments)}")
    # Every slot is free again: as many sequences as slots decode together.
    together = [CollectedReply(engine, f"{prompt} {i}", GREEDY) for i in range(4)]
    assert all(reply.wait().finished.completion_tokens for reply in together)
    assert ask(engine, prompt, GREEDY).text == wanted
    engine.close()


def moment(reply: CollectedReply) -> str:
    """The stage of a request."""
    if reply.ended.is_set():
        return "ended"
    if reply.begun.is_set():
        return "decode"
    return "prefill" if any(isinstance(event, Prefill) for event in reply.events) else "queued"


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_hundred_deaths_or_hangs_under_eight_streams(
    make_fake: MakeEngine, how: signal.Signals, quarter: int
) -> None:
    """In four parts, each a few minutes at most."""
    engine = make_fake(
        environment={"FAKE_STEP_SECONDS": "0.005"},
        pong_timeout=1.5,
        max_deaths=1000,
        back_off=(0.0,),
        n_seq_max=4,
        n_ctx=4096,
    )
    chance = random.Random(quarter)
    for round_ in range(25):
        assert engine.wait_ready(90), engine.state
        prompts = [f"round {round_} stream {i}" for i in range(8)]
        replies = [CollectedReply(engine, p, SamplingParams(max_tokens=150)) for p in prompts]
        time.sleep(chance.random() * 0.4)
        pid = engine.worker_pid
        assert pid
        os.kill(pid, how)
        for prompt, reply in zip(prompts, replies, strict=True):
            assert reply.wait(60).text == reply_to(prompt, 150)
            assert reply.tokens == list(reply_to(prompt, 150).encode())
            assert reply.finished.completion_tokens == 150
    assert engine.state.restarts == 25
