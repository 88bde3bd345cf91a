"""Files as responses: at their readers' pace, and whole or cut."""

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.api.wire.streams import StoredStream
from tests.http.raw_http import Answer, app_of, eventually, ping, serving

PIECE = b"x" * 256 * 1024
COUNT = 200


class Pieces:
    def __init__(self, count: int = COUNT) -> None:
        self.read = 0
        self._count = count

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._count):
            self.read += 1
            yield PIECE


def sends(pieces: Pieces, size: int = COUNT * len(PIECE)) -> Any:
    def route(environ: dict[str, Any]) -> Answer:
        environ["appliance.park"](StoredStream(iter(pieces), size))
        return b""

    return route


def test_a_slow_reader_gets_all_of_it_and_holds_nobody_up() -> None:
    slow, quick = Pieces(), Pieces()
    app = app_of(slow=sends(slow), quick=sends(quick), ping=ping)
    with serving(app, threads=1, backlog=64 * 1024) as it:
        lazy = it.connect(receive_buffer=4096)
        lazy.get("/slow")
        assert eventually(lambda: slow.read > 0)
        reader = it.connect()
        reader.get("/quick")
        assert reader.read_head()[0] == 200
        assert len(reader.read_chunks()) == COUNT * len(PIECE)
        assert it.get("/ping").body == b"pong"
        # As much as its connection takes, and no more.
        assert slow.read < 50
        lazy.read_head()
        assert len(lazy.read_chunks()) == COUNT * len(PIECE)
        assert slow.read == COUNT


def test_a_reader_that_reads_nothing_is_dropped_in_time() -> None:
    pieces = Pieces()
    with serving(app_of(file=sends(pieces)), send_timeout=0.5, backlog=64 * 1024) as it:
        it.connect(receive_buffer=4096).get("/file")
        assert eventually(lambda: pieces.read > 0)
        assert eventually(lambda: it.server.connections == 0)
    assert pieces.read < COUNT


def test_a_file_that_ends_early_is_cut() -> None:
    with serving(app_of(file=sends(Pieces(3)))) as it:
        client = it.connect()
        client.get("/file")
        assert client.read_head()[0] == 200
        with pytest.raises((EOFError, ConnectionError)):
            client.read_chunks()


def test_an_empty_file() -> None:
    with serving(app_of(file=sends(Pieces(0), 0))) as it:
        assert it.get("/file").body == b""
