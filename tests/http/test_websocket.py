"""WebSockets on the server's port: the handshake, frames, and how a connection ends.

The client is the `websockets` library, or raw bytes where that library would not misbehave.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus

from appliance.http import websocket
from appliance.http.websocket import MAX_MESSAGE
from tests.http.raw_http import Client, eventually
from tests.http.ws_server import (
    HANDSHAKE,
    Echo,
    Refusing,
    Route,
    close_code,
    dial,
    frame,
    read_frame,
    serving_ws,
    shaken,
)

# -- the handshake --------------------------------------------------------------------------------


def test_a_client_is_answered_on_the_same_port_with_the_apps_headers() -> None:
    with serving_ws(route := Route()) as it:
        with dial(it) as ws:
            assert ws.response
            assert ws.response.headers["X-From-The-App"] == "yes"
            assert ws.response.headers.get("Content-Length") is None
            ws.send("hello")
            assert ws.recv(10) == "hello"
        assert eventually(lambda: route.talk.closes)


def test_frames_that_come_with_the_handshake_are_not_lost() -> None:
    with serving_ws(Route()) as it:
        client = shaken(it, early=frame(b"one") + frame(b"two")[:3])
        client.send(frame(b"two")[3:])
        assert [read_frame(client), read_frame(client)] == [(1, b"one"), (1, b"two")]


def test_the_subprotocol_is_chosen_from_the_clients_list() -> None:
    with serving_ws(Route("known")) as it:
        with dial(it, subprotocols=["other", "known"]) as ws:
            assert ws.subprotocol == "known"
        for offer in ({"subprotocols": ["other"]}, {}):
            with pytest.raises(InvalidStatus) as caught, dial(it, **offer):
                pass
            assert caught.value.response.status_code == 400


def test_a_client_without_a_subprotocol_can_be_served_too() -> None:
    with serving_ws(Route(None, "known")) as it:
        with dial(it) as ws:
            assert ws.subprotocol is None
        with dial(it, subprotocols=["known"]) as ws:
            assert ws.subprotocol == "known"


@pytest.mark.parametrize(("when", "status"), [("before", 403), ("after", 429)])
def test_guards_refuse_the_upgrade_with_an_error_of_the_usual_shape(when: str, status: int) -> None:
    with serving_ws(route := Route(), Refusing(when)) as it:
        client = it.connect()
        client.get("/ws", *HANDSHAKE)
        client.send(frame(b"not a request"))
        response = client.read_response()
        assert response.status == status
        assert response.error["type"] in ("permission_error", "rate_limit_error")
        assert response.headers["connection"] == "close"
        assert client.is_closed_by_server()
        assert eventually(lambda: all(talk.closes == 1 for talk in route.made))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 426),
        (("Connection: Upgrade", "Upgrade: h2c"), 426),
        ((*HANDSHAKE[:2], HANDSHAKE[3], "Sec-WebSocket-Version: 8"), 400),
        (HANDSHAKE[:3], 400),
        ((*HANDSHAKE[:3], "Sec-WebSocket-Key: short"), 400),
    ],
)
def test_what_is_no_handshake_is_refused(headers: tuple[str, ...], status: int) -> None:
    with serving_ws(route := Route()) as it:
        client = it.connect()
        client.get("/ws", *headers)
        response = client.read_response()
        assert response.status == status
        assert response.error["message"]
        assert route.made == []


def test_an_upgrade_that_no_route_wants_is_an_ordinary_request() -> None:
    with serving_ws(Route()) as it:
        client = it.connect()
        client.get("/nowhere", *HANDSHAKE)
        assert client.read_response().status == 404


# -- messages -------------------------------------------------------------------------------------


def test_a_message_in_pieces_with_a_ping_between_them_is_one() -> None:
    with serving_ws(Route()) as it:
        client = shaken(it)
        whole = "zwei €uro ✓".encode()
        client.send(frame(whole[:6], fin=False) + frame(b"?", 9))
        client.send(frame(whole[6:8], 0, fin=False) + frame(whole[8:], 0))
        assert [read_frame(client), read_frame(client)] == [(10, b"?"), (1, whole)]


def test_messages_are_answered_in_their_order_and_hold_no_thread() -> None:
    with serving_ws(route := Route()) as it, dial(it) as ws:
        before = threading.active_count()
        for i in range(200):
            ws.send(str(i))
        assert [ws.recv(10) for _ in range(200)] == [str(i) for i in range(200)]
        assert threading.active_count() == before
        assert route.talk.threads.isdisjoint({"loop under test", "stream writer"})


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"\x00", 2), 1003),
        (frame(b"\xff\xfe"), 1007),
        (frame(b"x", 3), 1002),
        (frame(b"x", 0), 1002),
        (b"\x81\x01x", 1002),  # not masked
        (b"\x81\xff" + (MAX_MESSAGE + 1).to_bytes(8, "big") + bytes(4), 1009),
        (frame(b"fail"), 1011),
        (frame((1000).to_bytes(2, "big"), 8), 1000),
        (frame(b"bye"), 4001),
    ],
)
def test_close_codes(sent: bytes, code: int) -> None:
    with serving_ws(route := Route()) as it:
        client = shaken(it)
        client.send(sent)
        if code == 4001:
            assert read_frame(client) == (1, b"bye")
        assert close_code(client) == code
        assert client.is_closed_by_server()
        assert eventually(lambda: route.talk.closes == 1)


def test_a_client_that_goes_on_sending_after_its_mistake_still_reads_the_close_code() -> None:
    with serving_ws(Route()) as it:
        client = shaken(it)
        client.send(b"\x81\xff" + (MAX_MESSAGE + 1).to_bytes(8, "big") + bytes(4))
        for _ in range(64):
            client.send(bytes(16 * 1024))
        assert close_code(client) == 1009


def test_messages_that_nobody_reads_yet_make_the_client_wait() -> None:
    with serving_ws(route := Route()) as it:
        client = shaken(it)
        route.talk.held.clear()
        route.talk.send = lambda *_texts: None  # type: ignore[method-assign]  # nobody would read it
        client.socket.settimeout(1)
        piece = frame(b"x" * 65_000)
        sent = 0
        with suppress(TimeoutError):
            while sent < 4 * MAX_MESSAGE:
                sent += client.socket.send(piece)
        assert sent < 4 * MAX_MESSAGE
        route.talk.held.set()
        assert eventually(lambda: len(route.talk.received_texts) >= sent // len(piece))


# -- ends -----------------------------------------------------------------------------------------


def test_pings_keep_a_silent_connection_and_find_a_dead_one() -> None:
    with serving_ws(route := Route(), keep_alive_seconds=0.2) as it:
        client = shaken(it)
        for _ in range(2):
            assert read_frame(client) == (9, b"")
            client.send(frame(b"", 10))
        assert read_frame(client) == (9, b"")
        assert close_code(client) == 1011
        assert eventually(lambda: route.talk.closes == 1)


@pytest.mark.parametrize("how", [Client.close, Client.reset])
def test_a_client_that_vanishes_is_noticed_in_silence(how: Callable[[Client], None]) -> None:
    with serving_ws(route := Route()) as it:
        how(shaken(it))
        assert eventually(lambda: route.talk.closes == 1)


def test_a_slow_reader_is_disconnected_and_others_keep_receiving() -> None:
    with serving_ws(route := Route(), backlog=64 * 1024) as it, dial(it) as ws:
        ws.send("hello")
        assert ws.recv(10) == "hello"
        stuck = shaken(it, receive_buffer=4096)
        slow = route.made[1]
        stuck.send(frame(b"x"))
        assert eventually(lambda: slow.received_texts)

        def send_more() -> int:
            slow.send(*[os.urandom(500).hex().encode()] * 100)
            return slow.closes

        assert eventually(send_more)
        ws.send("still here")
        assert ws.recv(10) == "still here"
        assert route.made[0].closes == 0


def test_a_drain_closes_with_going_away() -> None:
    with serving_ws(Route()) as it, dial(it) as ws:
        ws.send("x")
        ws.recv(10)
        it.server.drain()
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(10)
        assert caught.value.rcvd
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "drained")
        assert it.ended()


def test_requests_beyond_the_grace_period_end_with_an_error() -> None:
    class Busy(Route):
        def _make(self) -> Echo:
            talk = super()._make()
            talk.drain = lambda: None  # type: ignore[method-assign]
            return talk

    with serving_ws(Busy(), shutdown_grace_seconds=0.3) as it, dial(it) as ws:
        ws.send("x")
        ws.recv(10)
        it.server.drain()
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(10)
        assert caught.value.rcvd
        assert caught.value.rcvd.code == 1012
        assert it.ended()


def test_the_close_handshake_is_clean_from_both_sides() -> None:
    with serving_ws(Route()) as it:
        with dial(it) as ws:
            ws.close(1000, "done")
            assert ws.close_code == 1000
        with dial(it) as ws:
            ws.send("bye")
            assert ws.recv(10) == "bye"
            with pytest.raises(ConnectionClosed) as caught:
                ws.recv(10)
            assert not isinstance(caught.value, ConnectionClosedOK)  # 4001 is no normal code
            assert caught.value.rcvd == caught.value.sent


def test_what_people_write_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving_ws(Route()) as it:
        client = shaken(it)
        client.send(frame(b"a secret of mine"))
        assert read_frame(client) == (1, b"a secret of mine")
    assert "secret" not in caplog.text
    assert websocket.log.isEnabledFor(logging.DEBUG)


def test_churn_leaves_nothing_behind() -> None:
    with serving_ws(route := Route()) as it:

        def come_and_go(number: int) -> None:
            for i in range(10):
                with dial(it) as ws:
                    ws.send(f"{number}.{i}")
                    assert ws.recv(10) == f"{number}.{i}"
                    if i % 3 == 0:
                        ws.socket.shutdown(socket.SHUT_RDWR)

        threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(route.made) == 40
        assert eventually(lambda: all(talk.closes == 1 for talk in route.made))
