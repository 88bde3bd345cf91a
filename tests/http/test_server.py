"""The server on real sockets: responses, refusals, and listening addresses."""

import os
import socket
from typing import Any

import pytest

from appliance.errors import ConfigError
from appliance.http.server import HttpServer
from tests.http.raw_http import (
    Answer,
    Client,
    Serving,
    app_of,
    nothing_left,
    ping,
    serving,
)


def echo(environ: dict[str, Any]) -> Answer:
    body: bytes = environ["wsgi.input"].read()
    return body


# -- requests -------------------------------------------------------------------------------------


def test_a_connection_serves_one_request_after_the_other() -> None:
    with serving(app_of(ping=ping)) as it:
        client = it.connect()
        for _ in range(3):
            client.get("/ping")
            assert client.read_response().body == b"pong"


def test_two_requests_in_one_packet_are_answered_in_order() -> None:
    with serving(app_of(one=lambda _: b"1", two=lambda _: b"2")) as it:
        client = it.connect()
        client.send(b"GET /one HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\n\r\n")
        assert [client.read_response().body for _ in range(2)] == [b"1", b"2"]


def test_http_1_0_is_answered_and_closed() -> None:
    with serving(app_of(ping=ping)) as it:
        client = it.connect()
        client.send(b"GET /ping HTTP/1.0\r\n\r\n")
        assert client.read_response().body == b"pong"
        assert client.is_closed_by_server()


@pytest.mark.parametrize("head", ["Content-Length: 3\r\n\r\nabc", "3\r\nabc\r\n0\r\n\r\n"])
def test_a_body_reaches_the_app(head: str) -> None:
    if not head.startswith("Content-Length"):
        head = f"Transfer-Encoding: chunked\r\n\r\n{head}"
    with serving(app_of(echo=echo)) as it:
        client = it.connect()
        client.send(f"POST /echo HTTP/1.1\r\n{head}".encode())
        assert client.read_response().body == b"abc"


# -- what the server answers itself ---------------------------------------------------------------

BAD = {
    b"GARBAGE\r\n\r\n": 400,
    b"get /ping HTTP/1.1\r\n\r\n": 400,
    b"GET /ping HTTP/1.1\nHost: a\r\n\r\n": 400,
    b"GET /ping HTTP/1.1\r\nno colon\r\n\r\n": 400,
    b"GET /ping HTTP/1.1\r\nName : space\r\n\r\n": 400,
    b"POST /ping HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc": 400,
    b"POST /ping HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd": 400,
    b"POST /ping HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
    b"POST /ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n": 400,
    b"POST /ping HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n": 501,
    b"GET /ping HTTP/1.1\r\nName: " + b"x" * 40_000 + b"\r\n\r\n": 431,
    b"GET /ping HTTP/1.1\r\nName: " + b"x" * 40_000: 431,
    b"POST /ping HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000: 413,
    b"POST /ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 31
    + b"0\r\n\r\n": 413,
}


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:70]))
def test_a_refusal_is_json_and_closes_the_connection(data: bytes) -> None:
    served: list[str] = []

    def watch(environ: dict[str, Any]) -> Answer:
        served.append(environ["PATH_INFO"])
        return b""

    with serving(app_of(ping=watch, after=watch), body=2_000_000) as it:
        client = it.connect()
        client.send(data + b"GET /after HTTP/1.1\r\n\r\n")
        response = client.read_response()
        assert response.status == BAD[data]
        assert response.error["type"] == "invalid_request_error"
        assert response.error["message"]
        assert response.headers["connection"] == "close"
        client.send(b"GET /after HTTP/1.1\r\n\r\n")
        assert client.is_closed_by_server()
    assert served == []


def test_nothing_is_served_after_an_error_that_came_second() -> None:
    served: list[str] = []

    def watch(environ: dict[str, Any]) -> Answer:
        served.append(environ["PATH_INFO"])
        return b"served"

    with serving(app_of(first=watch, after=watch)) as it:
        client = it.connect()
        client.send(b"GET /first HTTP/1.1\r\n\r\nGARBAGE\r\n\r\nGET /after HTTP/1.1\r\n\r\n")
        assert client.read_response().body == b"served"
        assert client.read_response().status == 400
        assert client.is_closed_by_server()
    assert served == ["/first"]


def test_a_body_as_large_as_allowed_is_taken() -> None:
    with serving(app_of(echo=echo), body=100_000) as it:
        client = it.connect()
        client.send(b"POST /echo HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        assert client.read_response().body == b"x" * 100_000


@pytest.mark.parametrize("fault", [ValueError("secret detail"), OSError("secret detail")])
def test_an_app_that_fails_is_a_500_without_its_reasons(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_environ: dict[str, Any]) -> Answer:
        raise fault

    with serving(app_of(fail=fail, ping=ping)) as it:
        response = it.get("/fail")
        assert response.status == 500
        assert (response.error["type"], response.error["code"]) == (
            "server_error",
            "internal_error",
        )
        assert b"detail" not in response.body
        assert b"Traceback" not in response.body
        assert it.get("/ping").body == b"pong"
    assert "secret detail" in caplog.text


# -- addresses -------------------------------------------------------------------------------------


def test_every_address_is_listened_on() -> None:
    with nothing_left():
        server = HttpServer(app_of(ping=ping), [("127.0.0.1", 0), ("::1", 0)])
        it = Serving(server)
        assert [host for host, _ in server.addresses] == ["127.0.0.1", "::1"]
        for address in server.addresses:
            client = Client(address)
            client.get("/ping")
            assert client.read_response().body == b"pong"
            client.close()
        server.stop_now()
        assert it.ended()


def test_a_port_in_use_is_reported_with_the_program_that_uses_it() -> None:
    with nothing_left(), socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            HttpServer(app_of(ping=ping), [("127.0.0.1", 0), ("127.0.0.1", port)])
    assert caught.value.param == "server.port"
    assert str(port) in caught.value.message
    assert f"process {os.getpid()}" in caught.value.message


@pytest.mark.parametrize("host", ["192.0.2.1", "a" * 70])
def test_an_address_of_somebody_else_is_a_fault_of_the_host(host: str) -> None:
    with nothing_left(), pytest.raises(ConfigError) as caught:
        HttpServer(app_of(ping=ping), [(host, 0)])
    assert caught.value.param == "server.host"


def test_a_server_that_never_served_leaves_nothing() -> None:
    with nothing_left():
        HttpServer(app_of(ping=ping), [("127.0.0.1", 0)]).stop_now()
