"""Stored responses: their owners, how long they are kept, and complete deletion."""

from pathlib import Path

import pytest

from appliance.store.callers.responses import KEPT_MILLISECONDS, ResponseBook, StoredResponse
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
