"""Large bodies: on the disk while they arrive, of those alone who may send them."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from appliance.http import uploads
from appliance.http.server import HttpServer, ServerLimits
from appliance.http.uploads import UploadLimits
from tests.http.raw_http import Serving, app_of, eventually, nothing_left, ping

LIMITS = ServerLimits(body=1000, held=3_000_000, request_timeout=60)
BODY = os.urandom(5_000_000)


def digest(environ: dict[str, Any]) -> bytes:
    """A route that answers with the digest of its body."""
    found = hashlib.sha256()
    while piece := environ["wsgi.input"].read(65536):
        found.update(piece)
    return found.hexdigest().encode()


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Serving]:
    with nothing_left():
        limits = UploadLimits(
            folder=tmp_path,
            allow=lambda environ: environ["PATH_INFO"] == "/digest" and "HTTP_KEY" in environ,
            body=6_000_000,
            together=2,
        )
        app = app_of(ping=ping, digest=digest)
        running = Serving(HttpServer(app, [("127.0.0.1", 0)], LIMITS, uploads=limits))
        yield running
        for client in running.clients:
            client.close()
        running.server.stop_now()
        assert running.ended()
        assert list(tmp_path.iterdir()) == []


def head(path: str, length: int, more: str = "Key: good\r\n") -> bytes:
    return (
        f"POST /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}Content-Length: {length}\r\n\r\n"
    ).encode()


def test_a_large_body_arrives_whole_and_takes_no_memory(it: Serving) -> None:
    client = it.connect()
    client.send(head("digest", len(BODY)) + BODY)
    assert client.read_response().body == hashlib.sha256(BODY).hexdigest().encode()
    # The connection goes on, with requests of any size.
    client.send(head("digest", 3) + b"abc")
    assert client.read_response().body == hashlib.sha256(b"abc").hexdigest().encode()
    client.send(head("digest", len(BODY)) + BODY)
    assert client.read_response().status == 200


@pytest.mark.parametrize(
    ("path", "length", "more"),
    [
        ("digest", 5_000_000, ""),
        ("ping", 5_000_000, "Key: good\r\n"),
        ("digest", 6_000_001, "Key: good\r\n"),
    ],
)
def test_others_are_refused_before_they_send(
    it: Serving, path: str, length: int, more: str
) -> None:
    client = it.connect()
    client.send(head(path, length, more))
    assert client.read_response().status == 413


def test_chunks_are_no_upload(it: Serving) -> None:
    client = it.connect()
    client.send(
        b"POST /digest HTTP/1.1\r\nHost: 127.0.0.1\r\nKey: good\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n"
    )
    assert client.read_response().status == 413


def test_there_are_so_many_at_once(it: Serving) -> None:
    first, second, third = (it.connect() for _ in range(3))
    for client in (first, second):
        client.send(head("digest", len(BODY)) + BODY[:1000])
    assert eventually(lambda: len(it.server._loop.uploads._present) == 2)  # type: ignore[union-attr]
    third.send(head("digest", len(BODY)))
    assert third.read_response().status == 503
    first.send(BODY[1000:])
    assert first.read_response().status == 200
    second.close()  # it has gone in the middle
    assert eventually(lambda: not it.server._loop.uploads._present)  # type: ignore[union-attr]
    fourth = it.connect()
    fourth.send(head("digest", len(BODY)) + BODY)
    assert fourth.read_response().status == 200


def test_a_full_disk_is_said_before_and_while_it_arrives(
    it: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
        client = it.connect()
        client.send(head("digest", len(BODY)))
        assert client.read_response().status == 507

    def full(_: object, __: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(uploads.UploadBuffer, "append", full)
        client = it.connect()
        client.send(head("digest", len(BODY)) + BODY[:1000])
        reply = client.read_response()
        assert reply.status == 507
        assert b"No space left" in reply.body
    assert psutil.Process().is_running()
