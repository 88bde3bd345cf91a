"""Cancelling, queueing and closing: every request ends once, and the upstream is disconnected."""

import random
import threading
import time

import psutil
import pytest

from appliance.engine.protocol import Accepted
from appliance.engine.upstream.engine import UpstreamEngine
from appliance.errors import QueueFull, ShuttingDown
from tests.engine.engine_client import CollectedReply, ask, chat
from tests.engine.upstream.fake_upstream import (
    Exchange,
    HostileUpstream,
    MakeUpstream,
    cut,
    eventually,
)


@pytest.mark.parametrize("after_words", [False, True])
def test_cancelling_endless_silence_ends_it_at_once_on_both_sides(
    far: UpstreamEngine, upstream: HostileUpstream, after_words: bool
) -> None:
    asked, hung_up = threading.Event(), threading.Event()

    def answer(exchange: Exchange) -> None:
        if after_words:
            cut(exchange)
        asked.set()
        if exchange.wait_hung_up():
            hung_up.set()

    upstream.answer = answer
    reply = CollectedReply(far, chat("hi"))
    assert (reply.begun if after_words else asked).wait(20)
    far.cancel(reply.id)
    assert reply.wait(5).finished.reason == "cancelled"
    assert hung_up.wait(5)
    assert reply.finished.completion_tokens == int(after_words)
    # The same thread serves the next request.
    upstream.answer = lambda exchange: exchange.reply("fine")
    assert [ask(far, chat("hi")).text for _ in range(5)] == ["fine"] * 5


def test_cancelling_at_any_moment_ends_each_request_once_and_leaves_nothing(
    make: MakeUpstream, upstream: HostileUpstream
) -> None:
    rng = random.Random(7)

    def answer(exchange: Exchange) -> None:
        exchange.open()
        for _ in range(10):
            exchange.send_text("word ")
            time.sleep(rng.random() * 0.004)
        exchange.end()

    upstream.answer = answer
    engine = make(max_waiting=200)
    ask(engine, chat("first"))
    process = psutil.Process()
    descriptors = process.num_fds()
    replies = []
    for i in range(200):
        replies.append(CollectedReply(engine, chat(str(i))))
        time.sleep(rng.random() * 0.01)
        engine.cancel(rng.choice(replies[-8:]).id)
    for reply in replies:
        reply.wait()
        assert len(reply.terminals) == 1
        assert reply.events[-1] is reply.terminals[0]
        assert len(reply.events) == 1 or isinstance(reply.events[0], Accepted)
    assert {reply.finished.reason for reply in replies} == {"cancelled", "stop"}
    assert eventually(lambda: process.num_fds() <= descriptors)
    assert ask(engine, chat("last")).finished.reason == "stop"


def test_cancelling_from_inside_a_sink_is_possible(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    def answer(exchange: Exchange) -> None:
        cut(exchange)
        exchange.wait_hung_up()

    upstream.answer = answer
    ids: list[int] = []
    ready = threading.Event()

    def on_event(event: object) -> None:
        if isinstance(event, Accepted):
            assert ready.wait(20)
            far.cancel(ids[0])

    reply = CollectedReply(far, chat("hi"), on_event=on_event)
    ids.append(reply.id)
    ready.set()
    assert reply.wait(10).finished.reason == "cancelled"


def test_as_many_run_as_may_then_they_wait_then_they_are_refused(
    make: MakeUpstream, upstream: HostileUpstream
) -> None:
    go_on = threading.Event()
    running = []

    def answer(exchange: Exchange) -> None:
        running.append(exchange)
        assert go_on.wait(20)
        exchange.reply("fine")

    upstream.answer = answer
    engine = make(parallel=2, max_waiting=2)
    replies = [CollectedReply(engine, chat(str(i))) for i in range(4)]
    with pytest.raises(QueueFull):
        CollectedReply(engine, chat("one too many"))
    engine.cancel(replies[3].id)
    assert replies[3].finished.reason == "cancelled"
    CollectedReply(engine, chat("in its place"))
    assert eventually(lambda: len(running) == 2)
    go_on.set()
    for reply in replies[:3]:
        assert reply.wait().text == "fine"
    assert eventually(lambda: len(running) == 4)
    asked = {exchange.body["messages"][0]["content"] for exchange in running}
    assert asked == {"0", "1", "2", "in its place"}


def test_a_busy_key_waits_behind_a_less_busy_one(
    make: MakeUpstream, upstream: HostileUpstream
) -> None:
    first, go_on = threading.Event(), threading.Event()
    asked: list[str] = []

    def answer(exchange: Exchange) -> None:
        asked.append(exchange.body["messages"][0]["content"])
        first.set()
        assert go_on.wait(20)
        exchange.reply("fine")

    upstream.answer = answer
    engine = make(parallel=1, max_waiting=3)
    greedy = [CollectedReply(engine, chat(f"greedy {i}"), owner="greedy") for i in range(4)]
    assert first.wait(20)
    with pytest.raises(QueueFull):
        CollectedReply(engine, chat("greedy"), owner="greedy")
    modest = CollectedReply(engine, chat("modest"), owner="modest")
    go_on.set()
    for reply in (*greedy, modest):
        assert reply.wait().text == "fine"
    assert asked == ["greedy 0", "modest", "greedy 1", "greedy 2", "greedy 3"]


def test_closing_fails_what_runs_and_what_waits_and_takes_nothing_new(
    make: MakeUpstream, upstream: HostileUpstream
) -> None:
    def answer(exchange: Exchange) -> None:
        cut(exchange)
        exchange.wait_hung_up()

    upstream.answer = answer
    engine = make(parallel=2, max_waiting=8)
    replies = [CollectedReply(engine, chat(str(i))) for i in range(6)]
    assert replies[0].begun.wait(20) and replies[1].begun.wait(20)
    engine.close()
    for reply in replies:
        assert reply.wait(5).failed.code == ShuttingDown.code
    assert engine.state.status == "stopped"
    with pytest.raises(ShuttingDown):
        CollectedReply(engine, chat("late"))
