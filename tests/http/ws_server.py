"""A route that speaks WebSocket, and clients for it: the `websockets` library's and a raw one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import falcon
from websockets.sync.client import ClientConnection, connect

from appliance.api.wire import errors
from appliance.api.wire.websocket import accept
from appliance.http.websocket import WebSocketHandler
from tests.http.raw_http import Client, Serving, eventually, nothing_left, serving

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    "Connection: keep-alive, Upgrade",
    "Upgrade: WebSocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
)


class Echo:
    """Sends back every message; `bye` closes it."""

    def __init__(self) -> None:
        self.received_texts: list[str] = []
        self.threads: set[str] = set()
        self.held = threading.Event()
        self.held.set()
        self.closes = 0
        self.ending: tuple[int, str] | None = None
        self._to_send: list[bytes] = []
        self._draining = self._expired = False
        self.wake: Callable[[], None] = lambda: None

    def attach(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def received(self, text: str) -> None:
        self.held.wait(10)
        self.threads.add(threading.current_thread().name)
        if text == "fail":
            raise RuntimeError("a fault of the talk's")
        self.received_texts.append(text)
        self.send(text.encode())

    def send(self, *texts: bytes) -> None:
        self._to_send += texts
        self.wake()

    def take(self) -> list[bytes]:
        texts, self._to_send = self._to_send, []
        if b"bye" in texts:
            self.ending = (4001, "as you wish")
        elif self._draining or self._expired:
            self.ending = (1012, "expired") if self._expired else (1001, "drained")
        return texts

    def drain(self) -> None:
        self._draining = True

    def stop_soon(self) -> None:
        self._expired = True

    def close(self) -> None:
        self.closes += 1


class Route:
    """`/ws`, with an `Echo` for each connection."""

    def __init__(self, *subprotocols: str | None) -> None:
        self.made: list[Echo] = []
        names = subprotocols or (None,)
        self._handlers: dict[str | None, Callable[[], WebSocketHandler]] = dict.fromkeys(
            names, self._make
        )

    def _make(self) -> Echo:
        self.made.append(Echo())
        return self.made[-1]

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.set_header("X-From-The-App", "yes")
        accept(req, resp, self._handlers)

    @property
    def talk(self) -> Echo:
        """The close code of the only connection."""
        assert eventually(lambda: self.made)
        (talk,) = self.made
        return talk


class Refusing:
    """Middleware, as a guard would be; also after the responder."""

    def __init__(self, when: str) -> None:
        self._when = when

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self._when == "before":
            raise falcon.HTTPForbidden(description="not from there")

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, ok: bool
    ) -> None:
        if self._when == "after":
            raise falcon.HTTPTooManyRequests(description="enough")


@contextmanager
def serving_ws(route: Route, guard: Refusing | None = None, **limits: Any) -> Iterator[Serving]:
    app: Any = falcon.App(middleware=[guard] if guard else [])
    app.add_error_handler(falcon.HTTPError, errors.handle_http_error)
    app.add_route("/ws", route)
    with nothing_left(), serving(app, **limits) as it:
        yield it


def dial(it: Serving, **options: Any) -> ClientConnection:
    host, port = it.address
    opened: ClientConnection = connect(
        f"ws://{host}:{port}/ws", compression=None, proxy=None, **options
    )
    return opened


def shaken(it: Serving, *, early: bytes = b"", receive_buffer: int | None = None) -> Client:
    """A raw client whose handshake is done."""
    client = it.connect(receive_buffer)
    head = "\r\n".join(["GET /ws HTTP/1.1", "Host: localhost", *HANDSHAKE, "", ""])
    client.send(head.encode() + early)
    status, _ = client.read_head()
    assert status == 101
    return client


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """As a client masks it, with a mask of zeros; up to 65,535 bytes."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe"
    if len(payload) >= 126:
        size += len(payload).to_bytes(2, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + size + bytes(4) + payload


def read_frame(client: Client) -> tuple[int, bytes]:
    """Opcode and payload of a short frame of the server's."""
    first, size = client.read_exactly(2)
    assert size < 126
    return first & 0xF, client.read_exactly(size)


def close_code(client: Client) -> int:
    opcode, payload = read_frame(client)
    assert opcode == 8
    return int.from_bytes(payload[:2], "big")
