"""Stored batches: one result a line, ends, expiry and complete deletion."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from appliance.errors import Conflict, NotFound, StoreFull
from appliance.store.callers import batches
from appliance.store.callers.batches import (
    KEPT_MILLISECONDS,
    BatchBook,
    BatchLine,
    BatchState,
    BatchStatus,
    StoredFile,
)
from appliance.store.database import Database
from appliance.store.migrations import migrate


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "chats.db")
    migrate(database)
    return database


def added(book: BatchBook, count: int = 3, owner: str = "me") -> BatchState:
    state = BatchState(
        id=book.new_id("batch_"),
        endpoint="/v1/embeddings",
        input_file_id="file-x",
        status="in_progress",
        created_at=0,
        total=count,
    )
    lines = [
        BatchLine(batch_id=state.id, number=it, custom_id=f"line {it}", body=b'"a secret word"')
        for it in range(count)
    ]
    return book.add_batch(owner, state, lines)


def kept(book: BatchBook, content: bytes, owner: str = "me") -> StoredFile:
    return book.add_file(owner, "a.jsonl", "batch", [content], len(content))


def test_a_line_has_one_result(database: Database) -> None:
    book = BatchBook(database)
    state = added(book)
    first = book.next_line(state.id, ())
    second = book.next_line(state.id, (0,))
    assert first
    assert second
    assert (first.number, second.number) == (0, 1)
    book.finish_line(first, b'"good"', ok=True)
    book.finish_line(first, b'"again"', ok=True)
    book.finish_line(second, b'"bad"', ok=False)
    found = book.batch("me", state.id)
    assert (found.total, found.completed, found.failed) == (3, 1, 1)
    third = book.next_line(state.id, ())
    assert third
    assert third.number == 2
    assert book.next_line(state.id, (2,)) is None
    assert [it.id for it in book.open_batches()] == [state.id]
    book.end(state.id, "expired", msgspec.json.encode)
    found = book.batch("me", state.id)
    assert (found.status, found.completed, found.failed) == ("expired", 1, 2)
    assert found.output_file_id
    assert found.error_file_id
    assert b"".join(book.content("me", found.output_file_id)) == b'"good"\n'
    assert b"".join(book.content("me", found.error_file_id)) == b'"bad"\n"line 2"\n'
    assert book.open_batches() == []
    book.finish_line(third, b'"late"', ok=True)
    assert book.batch("me", state.id) == found
    database.close()


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_one_that_has_ended_is_not_cancelled(database: Database, status: BatchStatus) -> None:
    book = BatchBook(database)
    state = added(book, 0)
    with pytest.raises(NotFound):
        book.cancel("you", state.id)
    assert book.cancel("me", state.id).status == "cancelling"
    book.end(state.id, status)
    with pytest.raises(Conflict):
        book.cancel("me", state.id)
    found = book.batch("me", state.id)
    assert (found.output_file_id, found.error_file_id) == (None, None)
    database.close()


def test_they_are_kept_for_30_days_and_then_nothing_is_left(
    database: Database, tmp_path: Path
) -> None:
    book = BatchBook(database)
    state = added(book)
    file = kept(book, b"a secret word")
    deleted = kept(book, b"a word of old")
    book.delete_file("me", deleted.id)
    book.expire(1000)
    book.expire(999 + KEPT_MILLISECONDS)
    assert book.file("me", file.id) == file
    book.expire(1000 + KEPT_MILLISECONDS)
    with pytest.raises(NotFound):
        book.file("me", file.id)
    with pytest.raises(NotFound):
        book.batch("me", state.id)
    for path in tmp_path.iterdir():
        assert b"a secret word" not in path.read_bytes(), path
        assert b"a word of old" not in path.read_bytes(), path
    database.close()


def test_there_is_an_end_to_them(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_FILES", 2)
    book = BatchBook(database)
    for _ in range(2):
        kept(book, b"x")
        added(book)
    with pytest.raises(Conflict, match="2 files"):
        kept(book, b"x")
    with pytest.raises(Conflict, match="2 batches"):
        added(book)
    kept(book, b"x", "you")
    database.close()


def test_a_large_file_is_whole_and_goes_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PIECE_BYTES", 1000)
    monkeypatch.setattr(batches, "MOST_BYTES", 20_000)
    book = BatchBook(database)
    content = bytes(range(256)) * 40 + b"end"
    file = book.add_file(
        "me", "a", "batch", [content[at : at + 77] for at in range(0, len(content), 77)], 0
    )
    other = kept(book, b"other", "you")
    assert file.bytes == len(content)
    pieces = list(book.content("me", file.id))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1000
    with pytest.raises(Conflict, match="together"):
        kept(book, content)
    again = book.content("me", file.id)
    assert next(again) == content[:1000]
    book.delete_file("me", file.id)
    assert list(again) == []  # it ends, and is of no other file
    with database.read() as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT file_number) FROM file_pieces")
        assert rows.fetchall() == [(1, 1)]
    assert b"".join(book.content("you", other.id)) == b"other"
    kept(book, content)
    database.close()


def test_a_file_that_breaks_off_leaves_nothing(database: Database) -> None:
    book = BatchBook(database)

    def broken() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        raise OSError("broken off")

    with pytest.raises(OSError, match="broken off"):
        book.add_file("me", "a", "batch", broken(), 3_000_000)
    assert book.files("me") == []
    with database.read() as connection:
        assert connection.execute("SELECT count(*) FROM file_pieces").fetchall() == [(0,)]
    database.close()


def test_a_file_without_room_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = BatchBook(database)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(StoreFull, match="no room"):
        book.add_file("me", "a", "batch", [], 600_000)
    kept(book, b"small")
    database.close()


def test_what_a_kill_broke_off_is_nobody_s_and_goes(database: Database) -> None:
    book = BatchBook(database)
    file = kept(book, b"whole")

    def pieces() -> list[Any]:
        with database.read() as connection:
            return connection.execute("SELECT content FROM file_pieces ORDER BY number").fetchall()

    with database.write() as connection:
        connection.execute(
            "INSERT INTO files (number, id, owner, state, content) VALUES (7, 'x', '', '', x'')"
        )
        connection.execute("INSERT INTO file_pieces (file_number, content) VALUES (7, x'2a')")
    assert [it.id for it in book.files("me")] == [file.id]
    with pytest.raises(NotFound):
        book.content("me", "x")
    book.expire(1000)
    book.expire(999 + batches.BROKEN_OFF_MILLISECONDS)
    assert pieces() == [(b"whole",), (b"*",)]
    book.expire(1000 + batches.BROKEN_OFF_MILLISECONDS)
    assert pieces() == [(b"whole",)]
    database.close()


def test_others_write_while_a_file_is_kept(database: Database) -> None:
    book = BatchBook(database)

    def content() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * batches.PIECE_BYTES * batches.PIECES_TOGETHER
            kept(book, b"small", "you")

    file = book.add_file("me", "a", "batch", content(), 0)
    assert file.bytes == 3 * batches.PIECE_BYTES * batches.PIECES_TOGETHER
    assert [it.id for it in book.files("me")] == [file.id]
    assert len(book.files("you")) == 3
    assert sum(map(len, book.content("me", file.id))) == file.bytes
    database.close()
