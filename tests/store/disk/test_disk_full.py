"""On a full disk, writes fail cleanly with a clear error, reads work, and writes resume later."""

import errno
import itertools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from appliance.errors import StoreError, StoreFull
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.sessions import Message, Session, SessionChanges, Sessions
from tests.store.conftest import add_message
from tests.store.disk.faulty_disk import faulty_disk

LONG = "words " * 2_000


def test_no_room_for_more_pages(database: Database, sessions: Sessions) -> None:
    session = sessions.create("kept")
    with database.write() as connection:
        pages = connection.pragma("page_count")
        before = connection.pragma("max_page_count")
        connection.pragma("max_page_count", pages + 2)
    for _ in range(3):
        with pytest.raises(StoreFull, match="disk is full"):
            sessions.begin_turn(session.id, LONG)
        assert sessions.list() == [session]
        assert sessions.messages(session.id) == []
    with database.write() as connection:
        connection.pragma("max_page_count", before)
    user, reply = sessions.begin_turn(session.id, LONG)
    assert sessions.messages(session.id) == [user, reply]


def _everything(sessions: Sessions) -> tuple[Sequence[Session], list[Sequence[Message]]]:
    listed = sessions.list()
    return listed, [sessions.messages(session.id) for session in listed]


WRITES: dict[str, Callable[[Sessions, str, str], object]] = {
    "create": lambda sessions, session_id, reply_id: sessions.create("new"),
    "update": lambda sessions, session_id, reply_id: sessions.update(
        session_id, SessionChanges(title=LONG)
    ),
    "delete": lambda sessions, session_id, reply_id: sessions.delete(session_id),
    "add": lambda sessions, session_id, reply_id: add_message(
        sessions, session_id, reply_id, "user", LONG, "complete"
    ),
    "turn": lambda sessions, session_id, reply_id: sessions.begin_turn(
        sessions.list()[-1].id, LONG
    ),
    "grow": lambda sessions, session_id, reply_id: sessions.grow_replies({reply_id: (LONG, "")}),
    "finish": lambda sessions, session_id, reply_id: sessions.finish_reply(
        reply_id, LONG, "complete"
    ),
}


@pytest.mark.parametrize("stays_full", [False, True])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_full_at_any_operation(
    path: Path, write: Callable[[Sessions, str, str], object], stays_full: bool
) -> None:
    with faulty_disk() as disk:
        database = Database(path)
        migrate(database)
        with database.write() as connection:
            # SQLite ignores an error in a checkpoint that follows a commit; APSW raises what our
            # disk raised, as if the commit had failed.
            connection.wal_autocheckpoint(0)
        sessions = Sessions(database)
        refused = 0
        for operation in itertools.count(1):
            sessions.create("an empty one")
            session = sessions.create()
            _, reply = sessions.begin_turn(session.id, "hello")
            before = _everything(sessions)
            disk.fail(operation, for_good=stays_full)
            try:
                write(sessions, session.id, reply.id)
            except StoreFull:
                refused += 1
                assert _everything(sessions) == before
                disk.heal()
                write(sessions, session.id, reply.id)
            assert _everything(sessions) != before
            if not disk.hit:
                break
            sessions.interrupt_streaming()
        assert refused == operation - 1 > 0
        disk.heal()
        stored = _everything(sessions)
        database.close()
    again = Database(path)
    assert _everything(Sessions(again)) == stored
    again.close()


def test_a_broken_disk_is_not_called_a_full_one(path: Path) -> None:
    with faulty_disk() as disk:
        database = Database(path)
        migrate(database)
        sessions = Sessions(database)
        disk.reason = errno.EIO
        failures = []
        for operation in itertools.count(1):
            disk.fail(operation)
            try:
                sessions.create()
            except StoreError as error:
                failures.append(type(error))
            if not disk.hit:
                break
        assert set(failures) == {StoreError}
        assert len(sessions.list()) == 1
        database.close()


def test_no_room_for_the_file_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", no_room)
    with pytest.raises(StoreFull, match=re.escape(str(path))):
        Database(path)


def test_replies_are_interrupted_before_anything_is_stored_again(path: Path) -> None:
    with faulty_disk() as disk:
        database = Database(path)
        migrate(database)
        sessions = Sessions(database)
        _, reply = sessions.begin_turn(sessions.create().id, "hello")
        disk.fail(1, for_good=True)
        assert sessions.interrupt_streaming() == 0
        before = database.state.state
        assert sessions.message(reply.id).status == "streaming"
        disk.heal()
        _, later = sessions.begin_turn(reply.session_id, "and now")
        assert (before, database.state.state) == ("full", "ok")
        assert sessions.message(reply.id).status == "interrupted"
        assert sessions.message(later.id).status == "streaming"
        database.close()
