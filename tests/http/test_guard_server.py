"""Hosts and origins on real sockets: refused before a body is read, on any listening address."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from appliance.api.middleware.auth import Guard
from appliance.auth.authenticator import Authenticator
from appliance.auth.keys.registry import Keys
from appliance.auth.login_sessions import LoginSessions
from appliance.auth.origin_policy import OriginPolicy
from appliance.auth.rate_limiter import RatePolicy
from appliance.auth.vault.file_vaults import FileVault
from appliance.errors import ConfigError
from appliance.http.server import HttpServer
from tests.http.raw_http import Client, Reply, Serving, app_of, eventually, parks, ping
from tests.http.ws_server import HANDSHAKE


def own_address() -> str:
    """An address of this machine that isn't a loopback one."""
    for addresses in psutil.net_if_addrs().values():
        for found in addresses:
            if found.family == socket.AF_INET and not found.address.startswith("127."):
                return found.address
    pytest.skip("needs a network interface beside the loopback one")


@contextlib.contextmanager
def guarded_server(host: str, folder: Path, **routes: object) -> Iterator[Serving]:
    keys = Keys(FileVault(folder / "keys.json"))
    guard = Guard(
        OriginPolicy(host=host, allowed_origins=("https://app.example",), auth=False),
        Authenticator(keys, LoginSessions(), auth=False),
        RatePolicy(0),
    )
    app = app_of(ping=ping, **routes)  # type: ignore[arg-type]
    serving = Serving(HttpServer(app, [(host, 0)], admit=guard.refused))
    try:
        yield serving
    finally:
        for client in serving.clients:
            client.close()
        serving.server.stop_now()
        assert serving.ended()


def connect(serving: Serving, to: str) -> Client:
    client = Client((to, serving.address[1]))
    serving.clients.append(client)
    return client


HALF_SENT = "POST /ping HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    ("bound", "to"),
    [
        *(("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0.0.0.0", "127.0.0.1")),
        *(("0.0.0.0", "own"), ("own", "own"), ("::", "::1"), ("localhost", "127.0.0.1")),
    ],
)
def test_a_wrong_host_or_page_is_answered_before_the_body_comes(
    bound: str, to: str, tmp_path: Path
) -> None:
    bound, to = (own_address() if name == "own" else name for name in (bound, to))
    try:
        with guarded_server(bound, tmp_path) as serving:
            literal = f"[{to}]" if ":" in to else to
            port = serving.address[1]
            for host, more, status in (
                (f"{literal}:{port}", "Origin: https://evil.example\r\n", 403),
                (f"{literal}:{port}", "Sec-Fetch-Site: cross-site\r\n", 403),
                (f"{literal}:{port}", "Expect: 100-continue\r\nOrigin: null\r\n", 403),
                (f"evil.example:{port}", "", 421),
                (f"0.0.0.0:{port}", "", 421),
                (literal, "", 421),
                (f"{literal}:{port}", f"Host: evil.example:{port}\r\n", 421),
            ):
                client = connect(serving, to)
                client.send(HALF_SENT.format(host=host, more=more).encode())
                response = client.read_response()
                assert (response.status, response.error["param"]) == (status, None), host
                assert "access-control-allow-origin" not in response.headers
            client = connect(serving, to)
            client.send(f"GET /ping HTTP/1.1\r\nHost: {literal}:{port}\r\n\r\n".encode())
            assert client.read_response().body == b"pong"
    except ConfigError as error:
        pytest.skip(f"needs IPv6: {error}")


def test_a_request_without_a_host_is_refused(tmp_path: Path) -> None:
    with guarded_server("127.0.0.1", tmp_path) as serving:
        for version in ("1.0", "1.1"):
            client = connect(serving, "127.0.0.1")
            client.send(f"GET /ping HTTP/{version}\r\n\r\n".encode())
            assert client.read_response().status == 421


def test_what_follows_a_refused_request_is_not_served(tmp_path: Path) -> None:
    served: list[str] = []

    def note(environ: dict[str, object]) -> bytes:
        served.append(str(environ["PATH_INFO"]))
        return b"noted"

    with guarded_server("127.0.0.1", tmp_path, note=note) as serving:
        port = serving.address[1]
        client = connect(serving, "127.0.0.1")
        good = f"GET /note HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        client.send(
            HALF_SENT.format(host=f"evil.example:{port}", more="").replace("1000000", "5").encode()
            + good.encode()
        )
        assert client.read_response().status == 421
        with contextlib.suppress(ConnectionError):
            assert client.read_rest() == b""
        assert served == []


def test_a_websocket_of_another_page_is_refused_before_the_upgrade(tmp_path: Path) -> None:
    with guarded_server("127.0.0.1", tmp_path) as serving:
        port = serving.address[1]
        for lines, status in (
            ((f"Host: 127.0.0.1:{port}", "Origin: http://evil.example"), 403),
            ((f"Host: evil.example:{port}",), 421),
        ):
            client = connect(serving, "127.0.0.1")
            client.send("\r\n".join(["GET /ping HTTP/1.1", *lines, *HANDSHAKE, "", ""]).encode())
            response = client.read_response()
            assert response.status == status
            assert json.loads(response.body)["error"]["code"].startswith("wrong_")


def test_cutting_ends_what_belongs_to_a_key_and_nothing_else(tmp_path: Path) -> None:
    streams = {name: Reply() for name in ("mine", "theirs")}

    def belonging(name: str) -> object:
        park = parks(streams[name])

        def route(environ: dict[str, object]) -> object:
            environ["appliance.set_owner"](name)  # type: ignore[operator]
            return park(environ)

        return route

    def passed(environ: dict[str, object]) -> bytes:
        environ["appliance.set_owner"]("mine")  # type: ignore[operator]
        return b"done"

    routes = {name: belonging(name) for name in streams} | {"passed": passed}
    with guarded_server("127.0.0.1", tmp_path, **routes) as serving:
        port = serving.address[1]
        clients = {name: connect(serving, "127.0.0.1") for name in routes}
        for name, client in clients.items():
            client.send(f"GET /{name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert clients["passed"].read_response().body == b"done"
        # Answered after the thread has done with the first, which the client has whole before that.
        clients["passed"].send(f"GET /ping HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert clients["passed"].read_response().body == b"pong"
        for name, stream in streams.items():
            assert stream.attached.wait(10)
            stream.put(b"some")
            clients[name].read_head()
            assert clients[name].read_chunk() == b"some"
        serving.server.cut("mine")
        assert clients["mine"].is_closed_by_server()
        assert eventually(lambda: streams["mine"].closes == 1)
        streams["theirs"].put(b"more", end=True)
        assert clients["theirs"].read_chunks() == b"more"
        # Between two requests, a connection belongs to no key.
        clients["passed"].send(f"GET /ping HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert clients["passed"].read_response().body == b"pong"
