"""Workers that die, hang or refuse: every request still ends exactly once."""

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Accepted, Delta, Prefill, Queued, SequenceEvent
from appliance.engine.types import SamplingParams
from appliance.errors import ModelLoadFailed, QueueFull, ShuttingDown
from tests.engine.conftest import MakeEngine
from tests.engine.engine_client import CollectedReply, ask
from tests.engine.fake_runner import reply_to

ENDLESS = SamplingParams(max_tokens=3000)
SLOW = {"FAKE_STEP_SECONDS": "0.01"}


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def test_a_worker_killed_in_the_middle_of_three_streams(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)
    replies = [
        CollectedReply(engine, f"stream {i}", SamplingParams(max_tokens=300)) for i in range(3)
    ]
    for reply in replies:
        assert reply.begun.wait(180)
    pid = engine.worker_pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    for i, reply in enumerate(replies):
        assert reply.wait().text == reply_to(f"stream {i}", 300)
        assert reply.finished.completion_tokens == 300
        assert reply.tokens == list(reply_to(f"stream {i}", 300).encode())
        kinds = [type(event) for event in reply.events]
        assert kinds.count(Accepted) == 1
        assert Prefill not in kinds[kinds.index(Delta) :], "its progress went back"
    assert ask(engine, "after", SamplingParams(max_tokens=5)).text == reply_to("after", 5)
    assert engine.state.restarts == 1
    assert engine.worker_pid != pid


def test_a_request_whose_reply_had_not_begun_is_begun_again(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, n_seq_max=1)
    running = CollectedReply(engine, "running", SamplingParams(max_tokens=100))
    assert running.begun.wait(180)
    waiting = CollectedReply(engine, "waiting", SamplingParams(max_tokens=5))
    until(lambda: bool(waiting.events))
    os.kill(engine.worker_pid or 0, signal.SIGKILL)
    assert running.wait().text == reply_to("running", 100)
    assert waiting.wait().text == reply_to("waiting", 5)
    assert len([e for e in waiting.events if type(e).__name__ == "Accepted"]) == 1


def test_a_worker_that_hangs_is_replaced(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, pong_timeout=2.0)
    reply = CollectedReply(engine, "stopped", SamplingParams(max_tokens=100))
    assert reply.begun.wait(180)
    os.kill(engine.worker_pid or 0, signal.SIGSTOP)
    assert reply.wait().text == reply_to("stopped", 100)
    assert ask(engine, "after", SamplingParams(max_tokens=3)).text == reply_to("after", 3)


def test_an_idle_worker_is_left_alone(make_fake: MakeEngine) -> None:
    engine = make_fake(pong_timeout=1.5)
    pid = engine.worker_pid
    time.sleep(4)
    assert engine.worker_pid == pid
    assert ask(engine, "hello", SamplingParams(max_tokens=3)).text == reply_to("hello", 3)


def kill(engine: LocalEngine, how: signal.Signals) -> None:
    """Kill the worker, once it is ready; returns when the engine has noticed."""
    assert engine.wait_ready(600), engine.state
    restarts = engine.state.restarts
    os.kill(engine.worker_pid or 0, how)
    until(lambda: engine.state.restarts > restarts)


def test_who_ends_workers_from_outside_blames_no_request(make_fake: MakeEngine) -> None:
    engine = make_fake(environment={"FAKE_STEP_SECONDS": "0.3"}, back_off=(0.0,))
    reply = CollectedReply(engine, "x" * 1000, SamplingParams(max_tokens=2))
    for _ in range(3):
        before = len(reply.events)
        until(lambda seen=before: len(reply.events) > seen)  # type: ignore[misc]
        kill(engine, signal.SIGKILL)
    assert reply.wait().text == reply_to("x" * 1000, 2)


@pytest.mark.parametrize("how", ["SIGSEGV", "out of memory"])
def test_a_request_that_workers_die_of_is_tried_twice(make_fake: MakeEngine, how: str) -> None:
    dead = 0
    engine = make_fake(
        environment={"FAKE_STEP_SECONDS": "0.3"}, oom_kills=lambda: dead, back_off=(0.0,)
    )
    reply = CollectedReply(engine, "x" * 2000, ENDLESS)
    for _ in range(2):
        until(lambda: engine.state.status == "ready" and engine.worker_pid is not None)
        before = len(reply.events)
        until(lambda seen=before: len(reply.events) > seen)  # type: ignore[misc]
        dead += how == "out of memory"
        kill(engine, signal.SIGKILL if how == "out of memory" else signal.SIGSEGV)
    assert reply.wait().failed.code == "worker_died"
    assert "2 times" in reply.failed.message
    assert ask(engine, "after", SamplingParams(max_tokens=3)).text == reply_to("after", 3)


def test_a_missing_model_is_reported(make_fake: MakeEngine) -> None:
    engine = make_fake("nowhere.gguf", wait=False)
    assert not engine.wait_ready(10)
    assert engine.state.status == "failed"
    assert "nowhere.gguf" in (engine.state.detail or "")
    with pytest.raises(ModelLoadFailed, match=r"nowhere\.gguf"):
        CollectedReply(engine, "hello")


def test_a_model_that_crashes_its_worker_is_given_up(make_fake: MakeEngine) -> None:
    engine = make_fake("crash", wait=False)
    early = CollectedReply(engine, "hello")
    assert early.wait(20).failed.code == "model_load_failed"
    assert engine.state.status == "failed"
    assert "SIGABRT" in (engine.state.detail or "")


def test_requests_wait_for_a_model_that_loads(make_fake: MakeEngine) -> None:
    engine = make_fake(wait=False)
    replies = [CollectedReply(engine, f"early {i}", SamplingParams(max_tokens=4)) for i in range(5)]
    for i, reply in enumerate(replies):
        assert reply.wait().text == reply_to(f"early {i}", 4)


def test_a_request_cancelled_while_the_model_loads_ends(make_fake: MakeEngine) -> None:
    engine = make_fake(wait=False)
    reply = CollectedReply(engine, "early")
    engine.cancel(reply.id)
    assert reply.wait(5).finished.reason in ("cancelled", "length")


def test_a_full_queue_refuses_at_once_and_keeps_the_rest(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, n_seq_max=2, max_waiting=3)
    replies = [
        CollectedReply(engine, f"request {i}", SamplingParams(max_tokens=20)) for i in range(5)
    ]
    with pytest.raises(QueueFull):
        CollectedReply(engine, "one too many")
    for i, reply in enumerate(replies):
        assert reply.wait().text == reply_to(f"request {i}", 20)
    ask(engine, "room again", SamplingParams(max_tokens=1))


def test_closing_fails_what_is_open_and_ends_the_worker(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)
    reply = CollectedReply(engine, "open", ENDLESS)
    assert reply.begun.wait(180)
    pid = engine.worker_pid
    engine.close()
    assert reply.wait(1).failed.code == "shutting_down"
    with pytest.raises(ShuttingDown):
        CollectedReply(engine, "late")
    assert pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_sink_that_fails_harms_nobody_else(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW)

    def broken(event: SequenceEvent) -> None:
        raise RuntimeError("a sink of bad character")

    bad = CollectedReply(engine, "bad", SamplingParams(max_tokens=5), on_event=broken)
    good = CollectedReply(engine, "good", SamplingParams(max_tokens=5))
    assert good.wait().text == reply_to("good", 5)
    assert bad.wait().finished.reason == "length"


def test_200_cancellations_at_random_moments_leave_neighbours_alone(make_fake: MakeEngine) -> None:
    engine = make_fake(environment={"FAKE_STEP_SECONDS": "0.001"})
    neighbour = CollectedReply(engine, "neighbour", SamplingParams(max_tokens=800))
    for i in range(200):
        reply = CollectedReply(engine, f"{'long ' * (i % 40)}victim {i}", ENDLESS)
        if i % 3:
            threading.Event().wait((i % 7) * 0.002)
        engine.cancel(reply.id)
        assert reply.wait(10).finished.reason == "cancelled"
        text = reply.text
        assert text == reply_to(f"{'long ' * (i % 40)}victim {i}", len(text))
    assert neighbour.wait().text == reply_to("neighbour", 800)
    assert ask(engine, "still here", SamplingParams(max_tokens=3)).text == reply_to("still here", 3)


def test_replies_of_any_length_come_whole(make_fake: MakeEngine) -> None:
    engine = make_fake()
    wanted = "Grüße 🙂 " * 40
    reply = ask(engine, f"echo:{wanted}\x03", SamplingParams(max_tokens=1500))
    assert reply.text == wanted
    assert reply.finished.reason == "stop"
    assert all("\ufffd" not in e.text for e in reply.events if isinstance(e, Delta))


def test_a_waiting_client_is_sent_its_queue_position(make_fake: MakeEngine) -> None:
    engine = make_fake(environment=SLOW, n_seq_max=1)
    replies = [
        CollectedReply(engine, f"request {i}", SamplingParams(max_tokens=10)) for i in range(4)
    ]
    for i, reply in enumerate(replies):
        reply.wait()
        places = [event.position for event in reply.events if isinstance(event, Queued)]
        assert places == sorted(places, reverse=True)
        assert len(places) <= i
        if i:
            assert places[-1] == 1


# -- who is to blame ------------------------------------------------------------------------------


def test_an_evil_request_is_refused_and_nobody_beside_it(make_fake: MakeEngine) -> None:
    """Running replies continue, and prompts that were processed with it are processed again."""
    engine = make_fake(environment=SLOW, n_seq_max=6, back_off=(0.0,))
    count = SamplingParams(max_tokens=120)
    running = [CollectedReply(engine, f"running {i}", count) for i in range(3)]
    for reply in running:
        assert reply.begun.wait(180)
    evil = CollectedReply(engine, "evil" * 100 + "!!")
    others = [CollectedReply(engine, f"{i} other" * 60, count) for i in range(4)]
    assert evil.wait().failed.code == "worker_died"
    assert "SIGABRT" in evil.failed.message
    for i, reply in enumerate(running):
        assert reply.wait().text == reply_to(f"running {i}", 120)
    for i, reply in enumerate(others):
        assert reply.wait().text == reply_to(f"{i} other" * 60, 120)
    assert engine.state.restarts == 2


def test_evil_requests_one_after_the_other_take_the_model_from_nobody(
    make_fake: MakeEngine,
) -> None:
    engine = make_fake(environment=SLOW, back_off=(0.0,))
    neighbour = CollectedReply(engine, "neighbour", SamplingParams(max_tokens=600))
    assert neighbour.begun.wait(180)
    evil = [CollectedReply(engine, f"evil {i}!!") for i in range(5)]
    late = CollectedReply(engine, "late", SamplingParams(max_tokens=5))
    for reply in evil:
        assert reply.wait().failed.code == "worker_died"
    assert late.wait().text == reply_to("late", 5)
    assert neighbour.wait().text == reply_to("neighbour", 600)
    assert engine.state.restarts <= 10


def test_evil_requests_alone_do_not_have_the_model_given_up(make_fake: MakeEngine) -> None:
    engine = make_fake(back_off=(0.0,))
    for i in range(4):
        assert ask(engine, f"evil {i}!!").failed.code == "worker_died"
    assert ask(engine, "after", SamplingParams(max_tokens=3)).text == reply_to("after", 3)


def test_a_reply_that_ends_workers_is_given_up_where_it_does(make_fake: MakeEngine) -> None:
    """Its reply had begun, and so had its neighbours': those continue."""
    engine = make_fake(environment=SLOW, back_off=(0.0,))
    neighbours = [
        CollectedReply(engine, f"neighbour {i}", SamplingParams(max_tokens=500)) for i in range(2)
    ]
    for reply in neighbours:
        assert reply.begun.wait(180)
    evil = CollectedReply(engine, f"echo:{'word ' * 12}!! and more\x03", ENDLESS)
    assert evil.wait().failed.code == "worker_died"
    assert f"{'word ' * 12}!!".startswith(evil.text)
    assert len(evil.text) > 40
    for i, reply in enumerate(neighbours):
        assert reply.wait().text == reply_to(f"neighbour {i}", 500)
    assert ask(engine, "after", SamplingParams(max_tokens=3)).text == reply_to("after", 3)


def test_workers_that_die_before_they_get_anywhere_are_given_up(make_fake: MakeEngine) -> None:
    engine = make_fake(environment={"FAKE_STEP_SECONDS": "0.3"}, max_deaths=3, back_off=(0.0,))
    reading = CollectedReply(engine, "x" * 2000, ENDLESS)
    for _ in range(3):
        before = len(reading.events)
        until(lambda seen=before: len(reading.events) > seen)  # type: ignore[misc]
        os.kill(engine.worker_pid or 0, signal.SIGKILL)
        until(lambda: engine.state.status != "ready")
        if engine.state.status == "loading":
            engine.wait_ready(600)
    assert reading.wait().failed.code == "model_load_failed"
    assert "3 times within a minute" in (engine.state.detail or "")


def test_a_reply_cancelled_while_its_worker_is_replaced_says_how_far_it_came(
    make_fake: MakeEngine,
) -> None:
    engine = make_fake(environment={**SLOW, "FAKE_LOAD_SECONDS": "1"})
    reply = CollectedReply(engine, "cancelled", ENDLESS)
    assert reply.begun.wait(180)
    kill(engine, signal.SIGKILL)
    engine.cancel(reply.id)
    end = reply.wait(5).finished
    assert end.reason == "cancelled"
    assert end.prompt_tokens == len("cancelled")
    assert end.completion_tokens == len(reply.text)


def test_a_death_that_is_traced_to_a_variant_counts_against_no_request(
    make_fake: MakeEngine,
) -> None:
    tried: list[tuple[str, bool]] = []

    def suspect(variant: str, reason: str, charge: bool) -> tuple[str, bool]:
        assert "SIGABRT" in reason
        tried.append((variant, charge))
        return "plain", variant == "fancy"

    engine = make_fake(environment=SLOW, variant="fancy", suspect=suspect, back_off=(0.0,))
    evil = CollectedReply(engine, "evil!!")
    assert evil.wait().failed.code == "worker_died"
    # The last death was that request's second, so it does not count against the variant.
    assert tried == [("fancy", True), ("plain", True), ("plain", False)]
    assert engine.state.restarts == 3


def test_six_workers_killed_under_eight_streams(make_fake: MakeEngine) -> None:
    engine = make_fake(environment={"FAKE_STEP_SECONDS": "0.005"}, back_off=(0.0,), n_ctx=4096)
    replies = [
        CollectedReply(engine, f"stream {i}", SamplingParams(max_tokens=200)) for i in range(8)
    ]
    for number in range(6):
        until(lambda least=number * 60: sum(len(h.text) for h in replies) > least)  # type: ignore[misc]
        kill(engine, signal.SIGKILL)
    for i, reply in enumerate(replies):
        assert reply.wait().text == reply_to(f"stream {i}", 200)
        assert reply.tokens == list(reply_to(f"stream {i}", 200).encode())
        assert reply.finished.completion_tokens == 200


def test_what_was_cancelled_is_not_begun_again(make_fake: MakeEngine) -> None:
    """The worker is suspended, so that it never reads the cancellation, and then killed."""
    engine = make_fake(environment=SLOW, back_off=(0.0,))
    reply = CollectedReply(engine, "cancelled", ENDLESS)
    assert reply.begun.wait(180)
    os.kill(engine.worker_pid or 0, signal.SIGSTOP)
    engine.cancel(reply.id)
    kill(engine, signal.SIGKILL)
    assert reply.wait(20).finished.reason == "cancelled"
    assert reply.finished.completion_tokens == len(reply.text)
