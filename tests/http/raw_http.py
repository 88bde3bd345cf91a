"""A server on a free port of this machine, and a client that sends exactly the given bytes."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psutil

from appliance.http.channel import Channel
from appliance.http.server import HttpServer, ServerLimits

PATIENCE = 10.0
"""Seconds to wait for something before the test fails."""

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Response:
    """One response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def error(self) -> dict[str, Any]:
        """The error of an error response, whose shape is checked."""
        assert self.headers["content-type"].startswith("application/json")
        document = json.loads(self.body)
        assert list(document) == ["error"]
        error: dict[str, Any] = document["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


class Client:
    """One connection."""

    def __init__(
        self,
        address: tuple[str, int],
        receive_buffer: int | None = None,
        *,
        connect: bool = True,
    ) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            if connect:
                self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self._read = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def get(self, path: str, *headers: str) -> None:
        """Send a whole request."""
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to and including `mark`."""
        while mark not in self._read:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the server closed after {self._read[-200:]!r}")
            self._read += data
        found, self._read = self._read.split(mark, 1)
        return found + mark

    def read_exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the server closed {size - len(self._read)} bytes too early")
            self._read += data
        found, self._read = self._read[:size], self._read[size:]
        return found

    def read_head(self) -> tuple[int, dict[str, str]]:
        """Status and headers, names in lower case."""
        first, *lines = self.read_until(b"\r\n\r\n").decode("latin-1").strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}

    def read_chunk(self) -> bytes:
        """One chunk of a chunked body; empty: the end."""
        data = self.read_exactly(int(self.read_until(b"\r\n"), 16))
        assert self.read_exactly(2) == b"\r\n"
        return data

    def read_chunks(self) -> bytes:
        """A chunked body, or the rest of it."""
        return b"".join(iter(self.read_chunk, b""))

    def read_response(self) -> Response:
        status, headers = self.read_head()
        body = b""
        if "content-length" in headers:
            body = self.read_exactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            body = self.read_chunks()
        else:
            body = self.read_rest()
        return Response(status, headers, body)

    def read_rest(self) -> bytes:
        """Everything until the server closes."""
        while data := self.socket.recv(65536):
            self._read += data
        found, self._read = self._read, b""
        return found

    def is_closed_by_server(self) -> bool:
        """Waits for the end of the connection; no byte may precede it."""
        try:
            return self.read_rest() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        """Close normally: the server gets a FIN."""
        self.socket.close()

    def reset(self) -> None:
        """Close like a crash: the server gets an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Serving:
    """A running server and its clients."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.address = server.addresses[0]
        self.thread = threading.Thread(target=server.serve, name="loop under test")
        self.clients: list[Client] = []
        self.thread.start()

    def connect(self, receive_buffer: int | None = None) -> Client:
        client = Client(self.address, receive_buffer)
        self.clients.append(client)
        return client

    def get(self, path: str) -> Response:
        """Send a request on a new connection."""
        client = self.connect()
        client.get(path)
        response = client.read_response()
        client.close()
        return response

    def refuses(self) -> bool:
        """Whether new clients are refused because it stops."""
        return self.get("/ping").status == 503

    def ended(self) -> bool:
        """Waits for `serve` to return."""
        self.thread.join(PATIENCE)
        return not self.thread.is_alive()


class Reply:
    """A `ResponseStream` that a test feeds."""

    def __init__(self, keep_alive: bytes | None = None, last_words: bytes = b"") -> None:
        """`last_words` end the stream when the server is to stop soon."""
        self.keep_alive = keep_alive
        self.takes = 0
        self.stops = 0
        self.closes = 0
        self.attached = threading.Event()
        self.wake: Callable[[], None] = lambda: None
        self._last_words = last_words
        self._lock = threading.Lock()
        self._waiting = b""
        self._ended = False

    def attach(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.attached.set()

    def put(self, data: bytes, *, end: bool = False) -> None:
        with self._lock:
            self._waiting += data
            self._ended = end
        self.wake()

    def read(self) -> bytes:
        with self._lock:
            self.takes += 1
            data, self._waiting = self._waiting, b""
            return data

    @property
    def all_taken(self) -> bool:
        with self._lock:
            return not self._waiting

    @property
    def finished(self) -> bool:
        with self._lock:
            return self._ended and not self._waiting

    def stop_soon(self) -> None:
        self.stops += 1
        if self._last_words:
            self.put(self._last_words, end=True)

    def close(self) -> None:
        self.closes += 1


Answer = bytes | Iterable[bytes] | tuple[str, bytes]


Route = Callable[[dict[str, Any]], Answer]


def app_of(**routes: Route) -> App:
    """A WSGI app: a function for each path, which returns a body, or a status line and a body."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = routes[environ["PATH_INFO"].strip("/")](environ)
        status, body = answer if isinstance(answer, tuple) else ("200 OK", answer)
        headers = [("Content-Type", "text/plain")]
        pieces = [body] if isinstance(body, bytes) else body
        if isinstance(body, bytes):
            headers.append(("Content-Length", str(len(body))))
        start_response(status, headers)
        return pieces

    return app


def parks(stream: Reply) -> Route:
    """A route that answers with a parked stream."""

    def route(environ: dict[str, Any]) -> Answer:
        environ["appliance.park"](stream)
        return b""  # and so a Content-Length of 0, as Falcon sends it

    return route


def ping(_environ: dict[str, Any]) -> Answer:
    """A route that answers at once."""
    return b"pong"


@contextlib.contextmanager
def serving(app: App, **limits: Any) -> Iterator[Serving]:
    """A server for one test; no thread or open file of it may remain afterwards."""
    with nothing_left():
        running = Serving(HttpServer(app, [("127.0.0.1", 0)], ServerLimits(**limits)))
        try:
            yield running
        finally:
            for client in running.clients:
                client.close()
            running.server.stop_now()
            assert running.ended()


def await_channels(it: Serving, count: int) -> list[Channel]:
    """The server's side of that many connections, the oldest first."""
    assert eventually(lambda: it.server.connections == count)
    return sorted(it.server._channels.values(), key=lambda channel: channel.creation_time)


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Checks that threads and open files are as many after as before."""
    files, threads = psutil.Process().num_fds(), set(threading.enumerate())
    yield
    assert eventually(lambda: set(threading.enumerate()) <= threads)
    assert psutil.Process().num_fds() == files


def eventually(condition: Callable[[], object], patience: float = PATIENCE) -> bool:
    """Wait for the condition; whether it became true."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
