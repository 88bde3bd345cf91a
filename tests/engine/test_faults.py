"""Workers that die, hang, refuse: every request still ends exactly once."""

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from appliance.engine.protocol import Delta, Queued, SequenceEvent
from appliance.engine.types import SamplingParams
from appliance.errors import ModelLoadFailed, QueueFull, ShuttingDown
from tests.engine.conftest import MakeEngine
from tests.engine.fake_runner import reply_to
from tests.engine.talk import Heard, ask

ENDLESS = SamplingParams(max_tokens=3000)
SLOW = {"FAKE_STEP_SECONDS": "0.01"}


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def test_a_worker_killed_in_the_middle_of_three_streams(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)
    heards = [Heard(engine, f"stream {i}", ENDLESS) for i in range(3)]
    for heard in heards:
        assert heard.begun.wait(180)
    pid = engine.worker_pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    for heard in heards:
        assert heard.wait().failed.code == "worker_died"
    assert ask(engine, "after", SamplingParams(max_tokens=5)).text == reply_to("after", 5)
    assert engine.state.restarts == 1
    assert engine.worker_pid != pid


def test_a_request_whose_reply_had_not_begun_is_begun_again(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, n_seq_max=1)
    running = Heard(engine, "running", ENDLESS)
    assert running.begun.wait(180)
    waiting = Heard(engine, "waiting", SamplingParams(max_tokens=5))
    until(lambda: bool(waiting.events))
    os.kill(engine.worker_pid or 0, signal.SIGKILL)
    assert running.wait().failed.code == "worker_died"
    assert waiting.wait().text == reply_to("waiting", 5)
    assert len([e for e in waiting.events if type(e).__name__ == "Accepted"]) == 1


def test_a_worker_that_hangs_is_replaced(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, pong_timeout=2.0)
    heard = Heard(engine, "stopped", ENDLESS)
    assert heard.begun.wait(180)
    os.kill(engine.worker_pid or 0, signal.SIGSTOP)
    assert heard.wait(30).failed.code == "worker_died"
    assert ask(engine, "after", SamplingParams(max_tokens=3)).text == reply_to("after", 3)


def test_an_idle_worker_is_left_in_peace(make_fake: MakeEngine) -> None:
    engine = make_fake(pong_timeout=1.5)
    pid = engine.worker_pid
    time.sleep(4)
    assert engine.worker_pid == pid
    assert ask(engine, "hello", SamplingParams(max_tokens=3)).text == reply_to("hello", 3)


def test_a_worker_that_dies_again_and_again_fails_who_may_be_the_reason(
    make_fake: MakeEngine,
) -> None:
    engine = make_fake(environment={"FAKE_STEP_SECONDS": "0.3"})
    heard = Heard(engine, "x" * 2000, ENDLESS)
    for _ in range(2):
        until(lambda: engine.state.status == "ready" and engine.worker_pid is not None)
        before = len(heard.events)
        until(lambda seen=before: len(heard.events) > seen)  # type: ignore[misc]
        os.kill(engine.worker_pid or 0, signal.SIGKILL)
        until(lambda: engine.state.status != "ready")
    assert heard.wait().failed.code == "worker_died"
    assert engine.wait_ready(120)


def test_a_model_that_is_not_there_is_said_so(make_fake: MakeEngine) -> None:
    engine = make_fake("nowhere.gguf", wait=False)
    assert not engine.wait_ready(10)
    assert engine.state.status == "failed"
    assert "nowhere.gguf" in (engine.state.detail or "")
    with pytest.raises(ModelLoadFailed, match=r"nowhere\.gguf"):
        Heard(engine, "hello")


def test_a_model_that_crashes_its_worker_is_given_up(make_fake: MakeEngine) -> None:
    engine = make_fake("crash", wait=False)
    early = Heard(engine, "hello")
    assert early.wait(20).failed.code == "model_load_failed"
    assert engine.state.status == "failed"
    assert "SIGABRT" in (engine.state.detail or "")


def test_requests_wait_for_a_model_that_loads(make_fake: MakeEngine) -> None:
    engine = make_fake(wait=False)
    heards = [Heard(engine, f"early {i}", SamplingParams(max_tokens=4)) for i in range(5)]
    for i, heard in enumerate(heards):
        assert heard.wait().text == reply_to(f"early {i}", 4)


def test_a_request_cancelled_while_the_model_loads_ends(make_fake: MakeEngine) -> None:
    engine = make_fake(wait=False)
    heard = Heard(engine, "early")
    engine.cancel(heard.id)
    assert heard.wait(5).finished.reason in ("cancelled", "length")


def test_a_full_queue_refuses_at_once_and_keeps_the_rest(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, n_seq_max=2, max_waiting=3)
    heards = [Heard(engine, f"request {i}", SamplingParams(max_tokens=20)) for i in range(5)]
    with pytest.raises(QueueFull):
        Heard(engine, "one too many")
    for i, heard in enumerate(heards):
        assert heard.wait().text == reply_to(f"request {i}", 20)
    ask(engine, "room again", SamplingParams(max_tokens=1))


def test_closing_fails_what_is_open_and_ends_the_worker(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)
    heard = Heard(engine, "open", ENDLESS)
    assert heard.begun.wait(180)
    pid = engine.worker_pid
    engine.close()
    assert heard.wait(1).failed.code == "shutting_down"
    with pytest.raises(ShuttingDown):
        Heard(engine, "late")
    assert pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_sink_that_fails_harms_nobody_else(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)

    def broken(event: SequenceEvent) -> None:
        raise RuntimeError("a sink of bad character")

    bad = Heard(engine, "bad", SamplingParams(max_tokens=5), on_event=broken)
    good = Heard(engine, "good", SamplingParams(max_tokens=5))
    assert good.wait().text == reply_to("good", 5)
    assert bad.wait().finished.reason == "length"


def test_200_cancellations_at_random_moments_leave_neighbours_alone(make_fake: MakeEngine) -> None:
    engine = make_fake(environment={"FAKE_STEP_SECONDS": "0.001"})
    neighbour = Heard(engine, "neighbour", SamplingParams(max_tokens=800))
    for i in range(200):
        heard = Heard(engine, f"{'long ' * (i % 40)}victim {i}", ENDLESS)
        if i % 3:
            threading.Event().wait((i % 7) * 0.002)
        engine.cancel(heard.id)
        assert heard.wait(10).finished.reason == "cancelled"
        text = heard.text
        assert text == reply_to(f"{'long ' * (i % 40)}victim {i}", len(text))
    assert neighbour.wait().text == reply_to("neighbour", 800)
    assert ask(engine, "still here", SamplingParams(max_tokens=3)).text == reply_to("still here", 3)


def test_replies_of_any_length_come_whole(make_fake: MakeEngine) -> None:
    engine = make_fake()
    wanted = "Grüße 🙂 " * 40
    heard = ask(engine, f"echo:{wanted}\x03", SamplingParams(max_tokens=1500))
    assert heard.text == wanted
    assert heard.finished.reason == "stop"
    assert all("\ufffd" not in e.text for e in heard.events if isinstance(e, Delta))


def test_who_waits_is_told_the_place_in_the_queue(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, n_seq_max=1)
    heards = [Heard(engine, f"request {i}", SamplingParams(max_tokens=10)) for i in range(4)]
    for i, heard in enumerate(heards):
        heard.wait()
        places = [event.position for event in heard.events if isinstance(event, Queued)]
        assert places == sorted(places, reverse=True)
        assert len(places) <= i
        if i:
            assert places[-1] == 1
