"""Streams: every piece is sent at once, without a thread each, and clients do not delay others."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import falcon
import psutil
import pytest

from appliance.http.stream_writer import StreamWriter
from tests.http.raw_http import Answer, Client, Reply, app_of, eventually, parks, ping, serving


def started(client: Client, path: str = "/stream") -> Client:
    """Requests a stream and reads the response's headers."""
    client.get(path)
    status, headers = client.read_head()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert "content-length" not in headers
    return client


# -- what the client sees -------------------------------------------------------------------------


def test_each_piece_arrives_before_the_next_is_made() -> None:
    reply = Reply()
    with serving(app_of(stream=parks(reply))) as it:
        client = started(it.connect())
        for piece in (b"data: 1\n\n", b"data: 2\n\n"):
            reply.put(piece)
            assert client.read_chunk() == piece
        reply.put(b"data: [DONE]\n\n", end=True)
        assert client.read_chunk() == b"data: [DONE]\n\n"
        assert client.read_chunk() == b""
        assert client.is_closed_by_server()
        assert eventually(lambda: reply.closes)
    assert reply.closes == 1
    assert reply.stops == 0


def test_an_iterated_body_is_sent_piece_by_piece_too() -> None:
    go_on = threading.Event()

    def body(_environ: dict[str, Any]) -> Iterator[bytes]:
        yield b"first"
        go_on.wait(10)
        yield b"second"

    with serving(app_of(body=body)) as it:
        client = started(it.connect(), "/body")
        assert client.read_chunk() == b"first"
        go_on.set()
        assert client.read_chunk() == b"second"
        assert client.read_chunk() == b""


def test_what_a_stream_had_before_it_was_parked_is_sent() -> None:
    reply = Reply()
    reply.put(b"all of it", end=True)
    with serving(app_of(stream=parks(reply))) as it:
        assert it.get("/stream").body == b"all of it"


def test_what_comes_while_the_writer_checks_for_the_end_is_sent() -> None:
    class Late(Reply):
        """Adds its last piece exactly between `read` and `finished`."""

        @property
        def finished(self) -> bool:
            if self.takes == 1:
                self.put(b"the tail", end=True)
            return True

    with serving(app_of(stream=parks(Late()))) as it:
        assert it.get("/stream").body == b"the tail"


def test_http_1_0_gets_the_bare_body_and_a_closed_connection() -> None:
    reply = Reply()
    with serving(app_of(stream=parks(reply))) as it:
        client = it.connect()
        client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        _, headers = client.read_head()
        assert "transfer-encoding" not in headers
        assert headers["connection"] == "close"
        reply.put(b"one ")
        assert client.read_exactly(4) == b"one "
        reply.put(b"two", end=True)
        assert client.read_rest() == b"two"


def test_silence_is_broken_by_the_streams_own_comment() -> None:
    reply = Reply(keep_alive=b": keep-alive\n\n")
    with serving(app_of(stream=parks(reply)), keep_alive_seconds=0.1) as it:
        client = started(it.connect())
        assert client.read_chunk() == b": keep-alive\n\n"
        assert client.read_chunk() == b": keep-alive\n\n"


def test_a_silent_stream_outlives_every_timeout() -> None:
    reply = Reply()
    short = {"idle_timeout": 0.2, "header_timeout": 0.2, "request_timeout": 0.2}
    with serving(app_of(stream=parks(reply)), send_timeout=0.2, **short) as it:
        client = started(it.connect())
        time.sleep(2.5)
        reply.put(b"still here", end=True)
        assert client.read_chunk() == b"still here"


def test_falcon_parks_a_stream_by_setting_no_body() -> None:
    reply = Reply()

    class Resource:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            resp.content_type = "text/event-stream"
            req.env["appliance.park"](reply)

    app = falcon.App()
    app.add_route("/stream", Resource())
    with serving(app) as it:
        client = started(it.connect())
        reply.put(b"data: 1\n\n", end=True)
        assert client.read_chunk() == b"data: 1\n\n"


# -- streams that are not sent --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        ("GET", ("503 Service Unavailable", b"no"), 503),
        ("GET", ("204 No Content", b""), 204),
        ("GET", b"a body of its own", 200),
        ("HEAD", b"", 200),
    ],
)
def test_a_stream_without_a_place_is_closed_unsent(method: str, answer: Any, status: int) -> None:
    reply = Reply()

    def route(environ: dict[str, Any]) -> Answer:
        parks(reply)(environ)
        return answer  # type: ignore[no-any-return]

    with serving(app_of(stream=route)) as it:
        client = it.connect()
        client.send(f"{method} /stream HTTP/1.1\r\n\r\n".encode())
        assert client.read_head()[0] == status
        assert eventually(lambda: reply.closes)
    assert reply.closes == 1
    assert not reply.attached.is_set()


def test_a_stream_is_closed_unsent_when_the_app_fails_after_parking() -> None:
    reply = Reply()

    def route(environ: dict[str, Any]) -> Answer:
        parks(reply)(environ)
        raise ValueError("afterwards")

    with serving(app_of(stream=route)) as it:
        assert it.get("/stream").status == 500
    assert reply.closes == 1
    assert not reply.attached.is_set()


def test_a_stream_that_comes_after_the_stop_is_closed() -> None:
    writer, reply, client = (
        StreamWriter(backlog=1024, keep_alive_seconds=15),
        Reply(),
        Mock(backlog=0),
    )
    writer.start()
    writer.stop()
    wake = writer.add(reply, client)
    wake()
    assert reply.closes == 1
    assert [call[0] for call in client.method_calls] == ["drop"]


def test_a_parked_request_gives_back_the_file_of_its_body() -> None:
    process, reply = psutil.Process(), Reply()
    with serving(app_of(stream=parks(reply))) as it:
        files = process.num_fds()
        client = it.connect()
        client.send(b"POST /stream HTTP/1.1\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000)
        assert client.read_head()[0] == 200
        # Both ends of the connection, and no file.
        assert eventually(lambda: process.num_fds() == files + 2)


# -- many at once ---------------------------------------------------------------------------------


def test_sixty_four_streams_leave_the_threads_free() -> None:
    replies = [Reply() for _ in range(64)]
    routes = {f"stream{i}": parks(reply) for i, reply in enumerate(replies)}
    with serving(app_of(ping=ping, **routes), threads=4) as it:
        clients = [started(it.connect(), f"/stream{i}") for i in range(64)]
        assert it.get("/ping").body == b"pong"
        for step in (b"one", b"two"):
            for reply in replies:
                reply.put(step)
            assert [client.read_chunk() for client in clients] == [step] * 64
        assert it.get("/ping").body == b"pong"


def test_one_pass_serves_all_that_were_woken_meanwhile() -> None:
    class Held(Reply):
        """Blocks the stream writer in `read` until it is released."""

        def __init__(self) -> None:
            super().__init__()
            self.entered, self.let_go = threading.Event(), threading.Event()

        def read(self) -> bytes:
            self.entered.set()
            self.let_go.wait(10)
            return super().read()

    held, others = Held(), [Reply() for _ in range(8)]
    routes = {f"stream{i}": parks(reply) for i, reply in enumerate(others)}
    with serving(app_of(held=parks(held), **routes)) as it:
        clients = [started(it.connect(), f"/stream{i}") for i in range(8)]
        assert eventually(lambda: all(reply.takes == 1 for reply in others))
        started(it.connect(), "/held")
        assert held.entered.wait(10)
        for _ in range(100):
            for reply in others:
                reply.put(b".")
        held.let_go.set()
        assert [client.read_chunk() for client in clients] == [b"." * 100] * 8
        assert [reply.takes for reply in others] == [2] * 8


def test_a_stream_that_fails_takes_nobody_along() -> None:
    class Broken(Reply):
        def read(self) -> bytes:
            raise ValueError("broken")

        def close(self) -> None:
            super().close()
            raise ValueError("still broken")

    broken, whole = Broken(), Reply()
    with serving(app_of(broken=parks(broken), whole=parks(whole))) as it:
        client = started(it.connect(), "/whole")
        assert started(it.connect(), "/broken").is_closed_by_server()
        whole.put(b"whole", end=True)
        assert client.read_chunk() == b"whole"
    assert broken.closes == 1


# -- slow readers ---------------------------------------------------------------------------------


def test_a_reader_that_lags_too_far_is_dropped_and_others_are_not() -> None:
    slow, quick = Reply(), Reply()
    with serving(app_of(slow=parks(slow), quick=parks(quick)), backlog=64 * 1024) as it:
        started(it.connect(receive_buffer=4096), "/slow")
        reader = started(it.connect(), "/quick")
        piece = b"x" * 32 * 1024
        sent = 0
        while not slow.closes:
            slow.put(piece)
            quick.put(piece)
            assert reader.read_chunk() == piece
            sent += len(piece)
            assert sent < 64 * 1024 * 1024
        quick.put(b"the end", end=True)
        assert reader.read_chunk() == b"the end"
    assert slow.closes == 1


def test_a_reader_that_takes_nothing_is_dropped_in_time() -> None:
    reply = Reply()
    with serving(app_of(stream=parks(reply)), send_timeout=0.5, backlog=64 * 1024 * 1024) as it:
        started(it.connect(receive_buffer=4096))
        reply.put(b"x" * 8 * 1024 * 1024)
        assert eventually(lambda: reply.closes)


def test_one_large_piece_is_no_backlog_and_holds_nobody_up() -> None:
    reply, other = Reply(), Reply()
    large = b"x" * 8 * 1024 * 1024
    with serving(app_of(stream=parks(reply), other=parks(other)), backlog=64 * 1024) as it:
        client = started(it.connect(receive_buffer=64 * 1024))
        neighbour = started(it.connect(), "/other")
        reply.put(large)
        assert eventually(lambda: reply.all_taken)
        reply.put(b"and on", end=True)
        assert eventually(lambda: reply.closes)
        other.put(b"meanwhile")
        assert neighbour.read_chunk() == b"meanwhile"
        assert client.read_chunks() == large + b"and on"
