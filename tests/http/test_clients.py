"""Clients that disconnect, are slow or send too much: detected, without harm to others."""

import os
import resource
import socket
import threading
import time
from typing import Any

import psutil
import pytest

from appliance.http.fairness import is_admitted
from appliance.http.listener import client_group_of
from appliance.http.server import ServerLimits
from tests.http.raw_http import (
    Answer,
    Client,
    Reply,
    app_of,
    await_channels,
    eventually,
    parks,
    ping,
    serving,
)

# -- the client disconnects -----------------------------------------------------------------------


class Watched:
    """A route that watches its client and sends nothing until it is released."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()
        self.calls: list[str] = []

    def called(self) -> None:
        self.calls.append(threading.current_thread().name)

    def __call__(self, environ: dict[str, Any]) -> Answer:
        environ["appliance.on_disconnect"](self.called)
        self.entered.set()
        self.let_go.wait(10)
        return b"done"


@pytest.mark.parametrize("leave", [Client.close, Client.reset])
@pytest.mark.parametrize("parked", [False, True])
def test_a_client_that_leaves_in_silence_is_noticed_once(leave: Any, parked: bool) -> None:
    watched, reply = Watched(), Reply()

    def stream(environ: dict[str, Any]) -> Answer:
        watched.let_go.set()
        watched(environ)
        return parks(reply)(environ)

    with serving(app_of(silent=stream if parked else watched)) as it:
        client = it.connect()
        client.get("/silent")
        assert (reply.attached if parked else watched.entered).wait(10)
        leave(client)
        assert eventually(lambda: watched.calls, patience=0.5)
        assert eventually(lambda: reply.closes == parked, patience=0.5)
        watched.let_go.set()
    assert watched.calls == [it.thread.name]
    assert reply.closes == parked


def test_a_client_that_left_before_anybody_watched_is_reported_too() -> None:
    calls: list[str] = []
    entered = threading.Event()

    def late(environ: dict[str, Any]) -> Answer:
        entered.set()
        assert eventually(environ["waitress.client_disconnected"])
        environ["appliance.on_disconnect"](lambda: calls.append(threading.current_thread().name))
        assert eventually(lambda: calls)
        return b"nobody reads this"

    with serving(app_of(late=late)) as it:
        client = it.connect()
        client.get("/late")
        assert entered.wait(10)
        client.close()
        assert eventually(lambda: calls)
    assert calls == [it.thread.name]


def test_a_response_that_is_complete_has_nobody_called() -> None:
    watched, reply = Watched(), Reply()
    watched.let_go.set()

    def stream(environ: dict[str, Any]) -> Answer:
        watched(environ)
        return parks(reply)(environ)

    with serving(app_of(whole=watched, stream=stream, ping=ping)) as it:
        client = it.connect()
        client.get("/whole")
        assert client.read_response().body == b"done"
        client.get("/stream")
        reply.put(b"streamed", end=True)
        assert client.read_response().body == b"streamed"
        client.close()
        assert it.get("/ping").body == b"pong"
    assert watched.calls == []


def test_a_callback_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    entered = threading.Event()

    def silent(environ: dict[str, Any]) -> Answer:
        gone = threading.Event()
        environ["appliance.on_disconnect"](lambda: 1 / 0)
        environ["appliance.on_disconnect"](gone.set)
        entered.set()
        assert gone.wait(10)
        return b""

    with serving(app_of(silent=silent, ping=ping)) as it:
        client = it.connect()
        client.get("/silent")
        assert entered.wait(10)
        client.close()
        assert it.get("/ping").body == b"pong"
    assert "ZeroDivisionError" in caplog.text


# -- slow clients ---------------------------------------------------------------------------------


def test_five_hundred_half_sent_requests_keep_nobody_waiting() -> None:
    with serving(app_of(ping=ping), threads=4) as it:
        for number in range(250):
            it.connect().send(b"POST /ping HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
            it.connect().send(b"GET /ping HTTP/1.1\r\nX-Half: ")
            if number % 50 == 0:
                assert it.get("/ping").body == b"pong"
        assert it.get("/ping").body == b"pong"


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /ping HTTP/1.1\r\nX: ", b"POST /ping HTTP/1.1\r\nContent-Length: 99\r\n\r\n"],
)
def test_slow_and_silent_senders_are_disconnected(sent: bytes) -> None:
    short = {"header_timeout": 0.5, "request_timeout": 0.5, "idle_timeout": 0.5}
    with serving(app_of(ping=ping), **short) as it:
        client = it.connect()
        client.send(sent)
        client.socket.settimeout(0.1)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                client.send(b"x" if sent else b"")
                if client.socket.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() < deadline


@pytest.mark.parametrize("pieces", [1, 64])
def test_a_reader_that_takes_nothing_of_a_large_answer_is_dropped(pieces: int) -> None:
    """One piece waits in a buffer; many pieces block a thread, which must become free."""
    started = threading.Event()

    def large(_environ: dict[str, Any]) -> Answer:
        started.set()
        return (b"x" * (16_000_000 // pieces) for _ in range(pieces))

    with serving(app_of(large=large, ping=ping), threads=1, send_timeout=0.5) as it:
        client = it.connect(receive_buffer=4096)
        client.get("/large")
        assert started.wait(10)
        files = psutil.Process().num_fds()
        assert eventually(lambda: psutil.Process().num_fds() < files)
        assert it.get("/ping").body == b"pong"


def test_a_slow_but_steady_reader_gets_everything() -> None:
    with serving(app_of(large=lambda _: b"x" * 6_000_000), send_timeout=0.5) as it:
        client = it.connect(receive_buffer=64 * 1024)
        client.get("/large")
        client.read_head()
        for _ in range(25):
            time.sleep(0.1)
            client.read_exactly(100_000)
        client.read_exactly(6_000_000 - 25 * 100_000)


def test_a_body_that_was_only_half_sent_is_put_away() -> None:
    process = psutil.Process()
    with serving(app_of(ping=ping)) as it:
        files = process.num_fds()
        client = it.connect()
        client.send(b"POST /ping HTTP/1.1\r\nContent-Length: 900000\r\n\r\n" + b"x" * 800_000)
        (channel,) = await_channels(it, 1)
        assert eventually(lambda: channel.held == 800_000)
        # Both ends of the connection, and no file: request bodies are not written to disk.
        assert process.num_fds() == files + 2
        client.close()
        assert eventually(lambda: process.num_fds() == files)


def test_an_answer_that_takes_long_is_nobodys_delay() -> None:
    short = {"header_timeout": 0.2, "request_timeout": 0.2, "idle_timeout": 0.2}

    def slow(_environ: dict[str, Any]) -> Answer:
        time.sleep(2.5)
        return b"done"

    with serving(app_of(slow=slow), send_timeout=0.2, **short) as it:
        assert it.get("/slow").body == b"done"


def test_urgent_data_ends_the_connection() -> None:
    with serving(app_of(ping=ping)) as it:
        client = it.connect()
        client.socket.send(b"!", socket.MSG_OOB)
        assert client.is_closed_by_server()


# -- who is let in --------------------------------------------------------------------------------


def test_a_connection_above_the_limit_waits_for_a_place() -> None:
    let_go = threading.Event()

    def busy(_environ: dict[str, Any]) -> Answer:
        let_go.wait(10)
        return b"done"

    with serving(app_of(ping=ping, busy=busy), connections=2) as it:
        first, second = (it.connect() for _ in range(2))
        channels = await_channels(it, 2)
        for client in (first, second):
            client.get("/busy")
        assert eventually(lambda: all(channel.requests for channel in channels))
        third = it.connect()
        third.get("/ping")
        let_go.set()
        assert first.read_response().body == b"done"
        assert third.read_response().body == b"pong"
        assert second.read_response().body == b"done"


def test_one_address_of_the_network_cannot_take_all_places() -> None:
    limits = ServerLimits(connections=100, connections_kept=10, connections_per_address=50)
    lan, other = client_group_of("192.168.1.7"), client_group_of("192.168.1.8")
    assert is_admitted(lan, [lan] * 49, limits)
    assert not is_admitted(lan, [lan] * 50, limits)
    assert is_admitted(other, [lan] * 50, limits)
    assert not is_admitted(other, [lan] * 50 + [None] * 40, limits)
    here = client_group_of("127.0.0.1")
    assert is_admitted(here, [lan] * 50 + [None] * 49, limits)
    assert not is_admitted(here, [None] * 100, limits)


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert client_group_of("2001:db8::1") == client_group_of("2001:db8::ffff")
    assert client_group_of("2001:db8::1") != client_group_of("2001:db8:0:1::1")
    assert client_group_of("fe80::1%eth0") == client_group_of("fe80::2%eth0")
    assert client_group_of("::1") is None


def test_without_file_numbers_the_server_waits_quietly(caplog: pytest.LogCaptureFixture) -> None:
    with serving(app_of(ping=ping)) as it:
        client = Client(it.address, connect=False)
        it.clients.append(client)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken: list[int] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.socket.fileno() + 20, limits[1]))
            with pytest.raises(OSError, match="Too many open files"):
                taken.extend(iter(lambda: os.dup(client.socket.fileno()), -1))
            client.socket.connect(it.address)
            client.get("/ping")
            assert eventually(lambda: "no connection can be accepted" in caplog.text)
            time.sleep(0.5)
            assert caplog.text.count("no connection can be accepted") == 1
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert client.read_response().body == b"pong"
