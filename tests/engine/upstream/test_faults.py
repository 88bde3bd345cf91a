"""An upstream that is down, refuses, disconnects, or sends something else."""

import logging
import socket
import time
from collections.abc import Callable

import pytest

from appliance.engine.upstream.engine import UpstreamEngine
from appliance.errors import ConfigError, WorkerDied
from tests.engine.engine_client import CollectedReply, ask, chat
from tests.engine.upstream.fake_upstream import (
    Exchange,
    HostileUpstream,
    MakeUpstream,
    cut,
    eventually,
    upstream_engine,
)


def error_in_stream(exchange: Exchange) -> None:
    cut(exchange)
    exchange.send({"error": {"message": "out of memory", "code": 500}})


def broken_json(exchange: Exchange) -> None:
    cut(exchange)
    exchange.send(b'data: {"choices": [{\n\n')


def wrong_shape(exchange: Exchange) -> None:
    cut(exchange)
    exchange.send({"choices": "none"})


def given_up(exchange: Exchange) -> None:
    cut(exchange)
    exchange.end("abort")


@pytest.mark.parametrize("answer", [cut, error_in_stream, broken_json, wrong_shape, given_up])
def test_a_reply_that_breaks_off_fails_as_one_whose_worker_died(
    far: UpstreamEngine, upstream: HostileUpstream, answer: Callable[[Exchange], None]
) -> None:
    upstream.answer = answer
    reply = ask(far, chat("hi"))
    assert reply.text == "half a "
    assert reply.failed.code == WorkerDied.code
    assert len(upstream.asked) == 1  # a reply that had begun is not started again


TOO_LONG = {"error": {"message": "maximum context length is 4096 tokens", "code": 400}}


@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [
        (lambda e: e.refuse(401, {"error": {"message": "no k3y"}}), "unavailable", "key for this"),
        (lambda e: e.refuse(403), "unavailable", "key for this"),
        (lambda e: e.refuse(404, {"detail": "Not Found"}), "model_load_failed", "'m'"),
        (lambda e: e.refuse(400, {"error": {"message": "bad!"}}), "invalid_request", "bad!"),
        (lambda e: e.refuse(422, {"detail": [{"loc": "x"}]}), "invalid_request", "loc"),
        (lambda e: e.refuse(400, TOO_LONG), "context_length_exceeded", "4096"),
        (lambda e: e.refuse(429, Retry_After="7"), "queue_full", "7 s"),
        (lambda e: e.refuse(503), "queue_full", "too much to do"),
        (lambda e: e.refuse(503, {"error": {"message": "Loading model"}}), "model_loading", ""),
        (lambda e: e.refuse(500, {"error": {"message": "oops"}}), "unavailable", "oops"),
        (lambda e: e.refuse(502, b"<html>proxy</html>"), "unavailable", "502"),
        (lambda e: e.refuse(307, Location="http://127.0.0.1:9/"), "unavailable", "307"),
        (lambda e: e.refuse(200, b"<html>hello</html>"), "unavailable", "/v1"),
        (lambda e: (e.open(), e.send(b"data: {n\n\n")), "unavailable", "understands"),
        (lambda e: (e.open(), e.send(TOO_LONG)), "context_length_exceeded", "4096"),
        (lambda e: None, "unavailable", "broke the connection off"),
    ],
)
def test_refusals_have_one_wording(
    far: UpstreamEngine,
    upstream: HostileUpstream,
    answer: Callable[[Exchange], None],
    code: str,
    expected: str,
) -> None:
    upstream.answer = answer
    reply = ask(far, chat("hi"))
    assert reply.failed.code == code
    assert expected in reply.failed.message
    if code not in ("invalid_request", "context_length_exceeded"):
        assert f"127.0.0.1:{upstream.port}" in reply.failed.message
    assert len(reply.events) == 1
    assert len(upstream.asked) == 1


def test_the_key_goes_to_the_upstream_and_nowhere_else(
    make: MakeUpstream,
    upstream: HostileUpstream,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_ORG_ID", "env-organisation")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: env-header")
    engine = make(api_key="up-k3y")
    ask(engine, chat("a private question"))
    upstream.answer = lambda e: e.refuse(400, {"error": {"message": "bad up-k3y"}})
    message = ask(engine, chat("hi")).failed.message
    assert upstream.asked[0].headers["authorization"] == "Bearer up-k3y"
    assert "env-" not in str(upstream.asked[0].headers)
    assert "up-k3y" not in f"{message} {engine.state} {caplog.text}"
    assert "a private question" not in caplog.text


def test_without_a_key_none_is_sent(
    make: MakeUpstream, upstream: HostileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "env-key")
    ask(make(), chat("hi"))
    assert "authorization" not in upstream.asked[0].headers


@pytest.mark.parametrize("url", ["ftp://host/v1", "host:8000/v1", "http://me:word@host/v1", ""])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        upstream_engine(url)
    assert "word" not in caught.value.message.replace("password", "")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_an_upstream_that_is_down_is_reported_and_used_once_it_is_up(make: MakeUpstream) -> None:
    port = free_port()
    engine = make(f"http://127.0.0.1:{port}/v1")
    assert not engine.wait_ready(30)
    assert engine.state.status == "failed"
    assert engine.state.detail and f"127.0.0.1:{port}/v1 cannot be reached" in engine.state.detail
    assert ask(engine, chat("hi")).failed.code == "unavailable"
    late = HostileUpstream(port)
    try:
        # A request is sent although it was down a moment ago.
        assert ask(engine, chat("hi")).text == "fine"
        assert eventually(lambda: engine.state.status == "ready")
        assert engine.state.detail is None
    finally:
        late.close()
    assert ask(engine, chat("hi")).failed.code == "unavailable"
    assert eventually(lambda: engine.state.status == "failed")


def test_a_missing_model_is_reported_with_those_available(
    make: MakeUpstream, upstream: HostileUpstream
) -> None:
    engine = make(model="other")
    assert not engine.wait_ready(30)
    assert engine.state.detail and "'other'; it has: m" in engine.state.detail


def test_an_address_of_another_program_is_reported(
    make: MakeUpstream, upstream: HostileUpstream
) -> None:
    engine = make(upstream.url.removesuffix("/v1"))
    assert not engine.wait_ready(30)
    assert engine.state.detail and "is not right" in engine.state.detail
    upstream.listed = b"<html>a page</html>"
    engine = make()
    assert not engine.wait_ready(30)
    assert engine.state.detail and "is the address right?" in engine.state.detail


def test_a_silent_upstream_delays_nobody(make: MakeUpstream) -> None:
    # A listener that accepts nothing: with its queue full, the next connection hangs.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        for client in crowd:
            client.setblocking(False)
            client.connect_ex(deaf.getsockname())
        began = time.monotonic()
        engine = make(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", connect_timeout=1.0)
        replies = [CollectedReply(engine, chat("hi")) for _ in range(2)]
        assert time.monotonic() - began < 1
        engine.cancel(replies[0].id)
        assert replies[0].ended.is_set()
        assert replies[0].finished.reason == "cancelled"
        assert "no answer" in replies[1].wait(30).failed.message
        for client in crowd:
            client.close()


def test_a_silent_upstream_is_given_up(make: MakeUpstream, upstream: HostileUpstream) -> None:
    def answer(exchange: Exchange) -> None:
        cut(exchange)
        exchange.wait_hung_up()

    upstream.answer = answer
    reply = ask(make(read_timeout=1.0), chat("hi"))
    assert reply.failed.code == WorkerDied.code
    assert "sent nothing" in reply.failed.message
