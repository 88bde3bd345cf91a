"""Stopping the server: gracefully within the time given, at once otherwise, always completely."""

import os
import signal
import threading
import time
from typing import Any

import pytest

from appliance.http.server import HttpServer, ServerLimits
from tests.http.raw_http import (
    Answer,
    Client,
    Reply,
    Route,
    app_of,
    eventually,
    nothing_left,
    parks,
    ping,
    serving,
)


class Held:
    """A route that answers when it is released, or when its client has disconnected."""

    def __init__(self) -> None:
        self.entered, self.let_go, self.gone = (threading.Event() for _ in range(3))

    def __call__(self, environ: dict[str, Any]) -> Answer:
        environ["appliance.on_disconnect"](self.gone.set)
        environ["appliance.on_disconnect"](self.let_go.set)
        self.entered.set()
        self.let_go.wait(10)
        return b"done"


def ask(client: Client, held: Held) -> Client:
    client.get("/held")
    assert held.entered.wait(10)
    return client


def test_what_runs_is_finished_and_nothing_new_is_begun() -> None:
    held, reply = Held(), Reply()
    with serving(app_of(held=held, stream=parks(reply), ping=ping)) as it:
        running = ask(it.connect(), held)
        streaming = it.connect()
        streaming.get("/stream")
        assert streaming.read_head()[0] == 200
        idle = it.connect()
        idle.get("/ping")
        assert idle.read_response().body == b"pong"
        half = it.connect()
        half.send(b"GET /ping HTTP/1.1\r\n")

        it.server.drain()
        it.server.drain()

        assert idle.is_closed_by_server()
        assert it.refuses()
        half.send(b"\r\n")
        refused = half.read_response()
        assert refused.status == 503
        assert (refused.error["type"], refused.error["code"]) == ("server_error", "shutting_down")
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert refused.headers["connection"] == "close"
        assert half.is_closed_by_server()
        reply.put(b"the end", end=True)
        assert streaming.read_chunks() == b"the end"
        assert it.thread.is_alive()
        held.let_go.set()
        response = running.read_response()
        assert (response.status, response.body) == (200, b"done")
        assert response.headers["connection"] == "close"
        assert it.ended()
    assert reply.stops == 0
    assert not held.gone.is_set()


def test_a_request_behind_a_running_one_is_refused() -> None:
    held = Held()
    with serving(app_of(held=held, ping=ping)) as it:
        client = it.connect()
        client.send(b"GET /held HTTP/1.1\r\n\r\nGET /ping HTTP/1.1\r\n\r\n")
        assert held.entered.wait(10)
        it.server.drain()
        assert eventually(it.refuses)
        held.let_go.set()
        assert client.read_response().body == b"done"
        assert client.read_response().status == 503
        assert it.ended()


def test_a_stream_says_how_it_ends_when_its_time_is_up() -> None:
    polite, deaf, held = Reply(last_words=b"event: error\n\n"), Reply(), Held()
    routes: dict[str, Route] = {"polite": parks(polite), "deaf": parks(deaf), "held": held}
    with serving(app_of(**routes), shutdown_grace_seconds=0.3) as it:
        ask(it.connect(), held)
        clients = [it.connect(), it.connect()]
        for client, path in zip(clients, ("/polite", "/deaf"), strict=True):
            client.get(path)
            assert client.read_head()[0] == 200
        it.server.drain()
        assert clients[0].read_chunks() == b"event: error\n\n"
        with pytest.raises((EOFError, ConnectionError)):
            clients[1].read_chunk()
        assert it.ended()
        assert held.gone.is_set()
    assert (polite.stops, deaf.stops) == (1, 1)
    assert (polite.closes, deaf.closes) == (1, 1)


def test_stop_now_cuts_what_runs() -> None:
    held, reply = Held(), Reply()
    with serving(app_of(held=held, stream=parks(reply))) as it:
        running = ask(it.connect(), held)
        streaming = it.connect()
        streaming.get("/stream")
        assert streaming.read_head()[0] == 200
        it.server.drain()
        began = time.monotonic()
        it.server.stop_now()
        assert it.ended()
        assert time.monotonic() - began < 5
        assert held.gone.is_set()
        assert running.is_closed_by_server()
        assert streaming.is_closed_by_server()
    assert reply.closes == 1
    assert reply.stops == 0


def test_a_request_that_ignores_the_stop_does_not_hold_it_up() -> None:
    entered, let_go = threading.Event(), threading.Event()
    parked = Reply()

    def stubborn(environ: dict[str, Any]) -> Answer:
        entered.set()
        let_go.wait(10)
        return parks(parked)(environ)

    with serving(app_of(stubborn=stubborn), threads=1) as it:
        it.connect().get("/stubborn")
        assert entered.wait(10)
        it.connect().send(
            b"POST /stubborn HTTP/1.1\r\nContent-Length: 700000\r\n\r\n" + b"x" * 700_000
        )
        assert eventually(lambda: it.server._pool.queue)
        it.server.stop_now()
        assert it.ended()
        let_go.set()
        assert eventually(lambda: parked.closes)
    assert parked.closes == 1


def test_a_stop_after_the_end_touches_nothing() -> None:
    with nothing_left():
        with serving(app_of(ping=ping)) as it:
            assert it.get("/ping").body == b"pong"
        # Their numbers are those of the server's own pipe.
        pipes = [os.pipe() for _ in range(8)]
        try:
            it.server.drain()
            it.server.stop_now()
            for reader, _ in pipes:
                os.set_blocking(reader, False)
                with pytest.raises(BlockingIOError):
                    os.read(reader, 1)
        finally:
            for ends in pipes:
                for end in ends:
                    os.close(end)


def test_a_signal_handler_may_drain() -> None:
    with nothing_left():
        server = HttpServer(app_of(ping=ping), [("127.0.0.1", 0)], ServerLimits())
        bodies: list[bytes] = []

        def use_and_stop() -> None:
            client = Client(server.addresses[0])
            client.get("/ping")
            bodies.append(client.read_response().body)
            os.kill(os.getpid(), signal.SIGTERM)
            client.close()

        before = signal.signal(signal.SIGTERM, lambda *_: server.drain())
        user = threading.Thread(target=use_and_stop)
        try:
            user.start()
            server.serve()
        finally:
            user.join()
            signal.signal(signal.SIGTERM, before)
    assert bodies == [b"pong"]
