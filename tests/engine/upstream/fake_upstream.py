"""A server on loopback that speaks OpenAI's protocol, correctly or not, as a test wants."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from appliance.engine.upstream.engine import UpstreamEngine

MakeUpstream = Callable[..., UpstreamEngine]


def upstream_engine(url: str, **changes: object) -> UpstreamEngine:
    """An engine for the address, not started."""
    fields: dict[str, object] = {"model": "m", "parallel": 4, "max_waiting": 16}
    return UpstreamEngine("far", url, **(fields | changes))  # type: ignore[arg-type]


class Exchange:
    """One POST request, and methods to respond."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self._handler = handler
        self.path = handler.path
        self.headers = dict(handler.headers.items())
        self.body = body

    def refuse(self, status: int, body: object = None, **headers: str) -> None:
        """Send a response that is no stream; `body` as JSON, or unchanged if it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self._handler.send_response(status)
        kind = "text/html" if isinstance(body, bytes) else "application/json"
        self._handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.send_header("Content-Length", str(len(data)))
        self._handler.end_headers()
        self._handler.wfile.write(data)

    def open(self, kind: str = "text/event-stream") -> None:
        """Send status 200 and begin a stream that ends with the connection."""
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", kind)
        self._handler.end_headers()

    def send(self, data: object) -> None:
        """Send one event; bytes are sent unchanged."""
        text = data if isinstance(data, bytes) else b"data: " + json.dumps(data).encode() + b"\n\n"
        self._handler.wfile.write(text)
        self._handler.wfile.flush()

    def send_text(self, *words: str) -> None:
        """Send a chunk for each word."""
        for word in words:
            if self.path.endswith("/chat/completions"):
                self.send({"choices": [{"index": 0, "delta": {"content": word}}]})
            else:
                self.send({"choices": [{"index": 0, "text": word}]})

    def end(self, reason: str = "stop", usage: dict[str, Any] | None = None) -> None:
        """Send the last chunks and `[DONE]`."""
        self.send({"choices": [{"index": 0, "delta": {}, "text": "", "finish_reason": reason}]})
        if usage:
            self.send({"choices": [], "usage": usage})
        self.send(b"data: [DONE]\n\n")

    def reply(self, *words: str) -> None:
        """Send a complete reply."""
        self.open()
        self.send_text(*words)
        self.end(usage={"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 99})

    def wait_hung_up(self, timeout: float = 20) -> bool:
        """Send nothing until the client has closed the connection."""
        self._handler.connection.settimeout(timeout)
        try:
            return not self._handler.connection.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True


class HostileUpstream:
    """Runs until `close`. `GET /models` gives `listed`, POSTs go to `answer`."""

    def __init__(self, port: int = 0) -> None:
        self.answer: Callable[[Exchange], None] = lambda exchange: exchange.reply("fine")
        self.listed: object = {"data": [{"id": "m", "max_model_len": 4096}]}
        self.asked: list[Exchange] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path == "/v1/models"
                with contextlib.suppress(ConnectionError):
                    Exchange(self, {}).refuse(200 if found else 404, outer.listed)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the client has closed it
                exchange = Exchange(self, json.loads(body))
                outer.asked.append(exchange)
                with contextlib.suppress(ConnectionError):
                    outer.answer(exchange)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the requests."""
        return [exchange.body for exchange in self.asked]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def eventually(
    condition: Callable[[], object], timeout: float = 20, *, every: float = 0.02
) -> bool:
    """Wait for the condition; whether it became true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def cut(exchange: Exchange) -> None:
    """Send half a reply; the connection ends when this returns."""
    exchange.open()
    exchange.send_text("half a ")
