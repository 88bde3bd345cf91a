"""Stored responses: their owners, how long they are kept, and complete deletion."""

from pathlib import Path

import msgspec
import pytest

from appliance.store.callers.responses import (
    KEPT_MILLISECONDS,
    LogPiece,
    ResponseBook,
    StoredResponse,
)
from appliance.store.database import Database
from appliance.store.migrations import migrate


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "chats.db")
    migrate(database)
    return database


def response(id: str, previous: str | None = None) -> StoredResponse:
    return StoredResponse(
        id=id, previous_id=previous, input=b'[{"said": "a secret word"}]', response=b"{}"
    )


def test_a_chain_is_its_owners_alone(database: Database) -> None:
    book = ResponseBook(database)
    for id, previous in (("a", None), ("b", "a"), ("c", "b")):
        book.keep("me", response(id, previous))
    assert [one.id for one in book.chain("me", "c") or ()] == ["a", "b", "c"]
    assert book.chain("you", "c") is None
    assert book.find("you", "a") is None
    assert not book.delete("you", "a")
    assert book.delete("me", "a")
    assert not book.delete("me", "a")
    assert book.chain("me", "c") is None
    assert book.find("me", "c") == response("c", "b")
    database.close()


def test_they_are_kept_for_30_days_from_when_they_were_first_seen(database: Database) -> None:
    book = ResponseBook(database)
    book.keep("me", response("old"))
    book.expire(1000)
    book.keep("me", response("new"))
    book.expire(999 + KEPT_MILLISECONDS)
    assert book.find("me", "old")
    book.expire(1000 + KEPT_MILLISECONDS)
    assert book.find("me", "old") is None
    assert book.find("me", "new")
    database.close()


def test_nothing_is_left_of_a_deleted_one(database: Database, tmp_path: Path) -> None:
    book = ResponseBook(database)
    book.keep("me", response("a"))
    assert book.delete("me", "a")
    for file in tmp_path.iterdir():
        assert b"a secret word" not in file.read_bytes(), file
    database.close()


def test_one_that_grows_has_all_that_was_added_until_it_ends(
    database: Database, tmp_path: Path
) -> None:
    book = ResponseBook(database)
    for id in ("a", "b"):
        book.begin("me", msgspec.structs.replace(response(id), plan=b"plan", log=b"begun"))
    book.grow({"a": LogPiece(b"1", whole=True), "b": LogPiece(b"x", whole=False)})
    for piece in (b"2", b"a secret piece", b"4"):
        book.grow({"a": LogPiece(piece, whole=False), "gone": LogPiece(piece, whole=False)})
    a, b = (owned.stored for owned in book.under_way())
    assert (a.log, a.log_pieces) == (b"1", (b"2", b"a secret piece", b"4"))
    assert (b.log, b.log_pieces) == (b"begun", (b"x",))
    # It begins anew.
    book.grow({"b": LogPiece(b"other", whole=True)})
    book.grow({"b": LogPiece(b"and more", whole=False)})
    _, b = (owned.stored for owned in book.under_way())
    assert (b.log, b.log_pieces) == (b"other", (b"and more",))
    book.keep("me", msgspec.structs.replace(response("a"), log=b"whole"))
    book.grow({"a": LogPiece(b"late", whole=False)})
    found = book.find("me", "a")
    assert found
    assert (found.log, found.log_pieces) == (b"whole", ())
    book.delete("me", "a")
    book.delete("me", "b")
    with database.read() as connection:
        left = connection.execute("SELECT count(*) FROM response_pieces").fetchall()
    assert left == [(0,)]
    for file in tmp_path.iterdir():
        assert b"a secret piece" not in file.read_bytes(), file
    database.close()
