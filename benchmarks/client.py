"""The client for all servers: raw sockets, one thread for all streams.

While replies arrive, only bytes and times are recorded, so that the client takes as little CPU time
as possible from the servers; the bytes are parsed afterwards.
"""

import json
import selectors
import socket
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any
from urllib.parse import urlsplit

import httpx

REQUEST_SECONDS = 180.0
_CHUNK = 1 << 16


class BenchmarkError(Exception):
    """A measurement failed; the message says why."""


@dataclass(frozen=True)
class Reply:
    """A streamed reply; times are those of `time.perf_counter`."""

    sent_at: float
    first_at: float
    last_at: float
    tokens: int
    prompt_tokens: int
    cached_tokens: int
    text: str

    @property
    def first_seconds(self) -> float:
        """Time to first token, from sending the request."""
        return self.first_at - self.sent_at

    @property
    def decode_rate(self) -> float:
        """Tokens per second from the first to the last.

        Raises:
            BenchmarkError: there are too few of them.
        """
        if self.tokens < 2 or self.last_at <= self.first_at:
            raise BenchmarkError(f"a reply of {self.tokens} tokens has no rate")
        return (self.tokens - 1) / (self.last_at - self.first_at)


@dataclass
class Arrived:
    """The bytes of a response and when they were received."""

    sent_at: float
    raw: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def add(self, data: bytes, at: float) -> None:
        """Adds the data of one `recv`."""
        self.raw += data
        self.ends.append(len(self.raw))
        self.times.append(at)

    def when(self, offset: int) -> float:
        """When the byte before `offset` was received."""
        return self.times[bisect_left(self.ends, offset)]


def stream(url: str, body: dict[str, Any], patience: float = REQUEST_SECONDS) -> Reply:
    """One chat completion. Raises what `streams` does."""
    return streams(url, [body], patience)[0]


def new_session(url: str) -> str:
    """A stored chat of an appliance; its id."""
    answer = httpx.post(f"{url}/api/sessions", json={})
    answer.raise_for_status()
    return str(answer.json()["id"])


def turn(url: str, session: str, body: dict[str, Any], patience: float = REQUEST_SECONDS) -> Reply:
    """A turn of a stored chat with the last message of a chat completion's body. Raises what
    `streams` does."""
    settings = {name: body[name] for name in ("model", "max_tokens", "temperature", "ignore_eos")}
    content = {"content": body["messages"][-1]["content"]}
    path = f"/api/sessions/{session}/turns"
    return streams(url, [settings | content], patience, path)[0]


def streams(
    url: str,
    bodies: Sequence[dict[str, Any]],
    patience: float = REQUEST_SECONDS,
    path: str = "/v1/chat/completions",
) -> list[Reply]:
    """Chat completions that are requested at the same time.

    Raises:
        BenchmarkError: one was refused, interrupted, or took longer than `patience` seconds.
    """
    where = urlsplit(url)
    address = (where.hostname or "", where.port or 80)
    requests = [_request(where.netloc, path, body) for body in bodies]
    sockets = []
    try:
        sockets = [socket.create_connection(address, timeout=10) for _ in requests]
        arrived = []
        for connection, request in zip(sockets, requests, strict=True):
            arrived.append(Arrived(time.perf_counter()))
            connection.sendall(request)
        _receive(sockets, arrived, patience)
    except OSError as error:
        raise BenchmarkError(f"the connection broke: {error}") from error
    finally:
        for connection in sockets:
            connection.close()
    return [read_reply(each) for each in arrived]


def _request(host: str, path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _receive(sockets: Sequence[socket.socket], arrived: Sequence[Arrived], patience: float) -> None:
    deadline = time.perf_counter() + patience
    with selectors.DefaultSelector() as selector:
        for connection, each in zip(sockets, arrived, strict=True):
            selector.register(connection, selectors.EVENT_READ, each)
        while selector.get_map():
            left = deadline - time.perf_counter()
            if left <= 0:
                raise BenchmarkError(f"no end of the reply in {patience:.0f} s")
            for key, _ in selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(_CHUNK)
                if data:
                    key.data.add(data, time.perf_counter())
                else:
                    selector.unregister(key.fileobj)


# -- parsing ---------------------------------------------------------------------------------------


def read_reply(arrived: Arrived) -> Reply:
    """Parses a response.

    Raises:
        BenchmarkError: it is not a streamed chat completion.
    """
    raw = bytes(arrived.raw)
    head, separator, rest = raw.partition(b"\r\n\r\n")
    if not separator or head.split(b" ", 2)[1:2] != [b"200"]:
        raise BenchmarkError(f"refused: {raw[:80]!r} … {rest[:300]!r}")
    deltas: list[tuple[int, str]] = []
    usage: dict[str, Any] = {}
    for offset, event in _events(raw, len(head) + 4):
        if "error" in event:
            raise BenchmarkError(f"failed in mid-stream: {event['error']}")
        deltas += [(offset, text) for part in _parts(event) if (text := _text(part))]
        usage = (event.get("message") or event).get("usage") or usage
    if not deltas:
        raise BenchmarkError(f"no text came: {rest[-300:]!r}")
    return Reply(
        sent_at=arrived.sent_at,
        first_at=arrived.when(deltas[0][0]),
        last_at=arrived.when(deltas[-1][0]),
        tokens=usage.get("completion_tokens") or len(deltas),
        prompt_tokens=usage.get("prompt_tokens") or 0,
        cached_tokens=(usage.get("prompt_tokens_details") or usage).get("cached_tokens") or 0,
        text="".join(text for _, text in deltas),
    )


def _parts(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Where there may be text in an event of a completion or of a turn."""
    if "offset" in event:
        return [event]
    return [choice.get("delta") or {} for choice in event.get("choices", ())]


def _text(delta: dict[str, Any]) -> str:
    for name in ("content", "reasoning_content", "text", "reasoning"):
        if text := delta.get(name):
            return str(text)
    return ""


def _events(raw: bytes, start: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each event and its end in `raw`."""
    chunked = b"transfer-encoding: chunked" in raw[:start].lower()
    pieces = list(_pieces(raw, start)) if chunked else [(start, raw[start:])]
    body = b"".join(piece for _, piece in pieces)
    begins = [0, *accumulate(len(piece) for _, piece in pieces)][:-1]
    position = 0
    for line in body.splitlines(keepends=True):
        position += len(line)
        data = line.removeprefix(b"data:").strip()
        if data == line.strip() or not data.startswith(b"{"):
            continue
        index = bisect_right(begins, position - 1) - 1
        yield pieces[index][0] + position - begins[index], json.loads(data)


def _pieces(raw: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """The chunks of a chunked body, each with its offset in `raw`."""
    while (line_end := raw.find(b"\r\n", position)) > 0:
        size = int(raw[position:line_end].partition(b";")[0], 16)
        if size == 0:
            return
        yield line_end + 2, raw[line_end + 2 : line_end + 2 + size]
        position = line_end + 2 + size + 2
