"""Long runs: a thousand cancellations, a hundred deaths and a hundred hangs of the worker."""

import os
import random
import signal
import time

import pytest

from appliance.engine.protocol import Finished, SamplingParams
from tests.engine.conftest import MakeEngine, real_engine
from tests.engine.fake_runner import reply_to
from tests.engine.talk import Heard, ask

pytestmark = pytest.mark.soak

GREEDY = SamplingParams(temperature=0, max_tokens=12)


def test_a_thousand_cancellations_at_random_moments_on_the_real_model() -> None:
    engine = real_engine()
    engine.start()
    assert engine.wait_ready(60)
    chance = random.Random(7)
    prompt = "The capital of France is"
    wanted = ask(engine, prompt, GREEDY).text
    for round_ in range(1000):
        victim = Heard(
            engine,
            "word " * chance.choice([1, 50, 400]) + str(round_),
            SamplingParams(max_tokens=200),
        )
        time.sleep(chance.random() * chance.choice([0.002, 0.05, 0.3]))
        engine.cancel(victim.id)
        after = Heard(engine, prompt, GREEDY)
        assert len(victim.wait().terminals) == 1
        assert after.wait().finished.reason in ("length", "stop")
    assert engine.state.restarts == 0
    # Every slot is to be had again: as many sequences as there are slots decode together.
    together = [Heard(engine, f"{prompt} {i}", GREEDY) for i in range(4)]
    assert all(heard.wait().finished.completion_tokens for heard in together)
    assert ask(engine, prompt, GREEDY).text == wanted
    engine.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_hundred_deaths_or_hangs_under_eight_streams(
    make_fake: MakeEngine, how: signal.Signals
) -> None:
    engine = make_fake(
        environment={"FAKE_STEP_SECONDS": "0.005"},
        pong_timeout=1.5,
        max_deaths=1000,
        n_seq_max=4,
        n_ctx=4096,
    )
    chance = random.Random(3)
    for round_ in range(100):
        assert engine.wait_ready(90), engine.state
        prompts = [f"round {round_} stream {i}" for i in range(8)]
        heards = [Heard(engine, p, SamplingParams(max_tokens=150)) for p in prompts]
        time.sleep(chance.random() * 0.4)
        pid = engine.worker_pid
        if pid:
            os.kill(pid, how)
        for prompt, heard in zip(prompts, heards, strict=True):
            (end,) = heard.wait(60).terminals
            if isinstance(end, Finished):
                assert heard.text == reply_to(prompt, 150)
            else:
                assert end.code == "worker_died"
                assert reply_to(prompt, 150).startswith(heard.text)
