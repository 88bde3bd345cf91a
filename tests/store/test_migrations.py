"""Schema migrations: complete or not at all, and never from an unknown version."""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from appliance.errors import StoreError, StoreTooNew
from appliance.store.database import Database
from appliance.store.migrations import MIGRATIONS, Migration, migrate
from appliance.store.search import Search
from appliance.store.sessions import MessageError, MessageUsage, Session, Sessions, Settings
from appliance.store.settings import DefaultProfile
from appliance.store.upkeep.retention import Retention

HERE = Path(__file__).parent
FROZEN = (HERE / "schema-0001.sql").read_text(encoding="utf-8")

NEXT = Migration(
    "next",
    "ALTER TABLE sessions ADD COLUMN next INTEGER;"
    "UPDATE sessions SET title = title || '!';"
    "CREATE TABLE notes (text TEXT) STRICT;"
    "INSERT INTO notes SELECT title FROM sessions;"
    "DROP INDEX sessions_by_update;",
)


def _load(path: Path, sql: str = FROZEN) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def _load_and_migrate(path: Path) -> None:
    """The frozen chats, in today's schema."""
    _load(path)
    database = Database(path)
    migrate(database)
    database.close()


def _schema(path: Path) -> Sequence[object]:
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
        ).fetchall()
    finally:
        connection.close()


def _everything(path: Path) -> Sequence[object]:
    connection = apsw.Connection(str(path))
    try:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        ).fetchall()
        rows = [connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in tables]
    finally:
        connection.close()
    return [_schema(path), rows]


def test_the_first_step_still_makes_what_it_made(path: Path, tmp_path: Path) -> None:
    database = Database(path)
    migrate(database, MIGRATIONS[:1])
    database.close()
    _load(tmp_path / "frozen.db")
    assert _schema(path) == _schema(tmp_path / "frozen.db")


def test_the_chats_of_the_first_schema_are_still_read(tmp_path: Path) -> None:
    _load(tmp_path / "frozen.db")
    database = Database(tmp_path / "frozen.db")
    migrate(database)
    sessions = Sessions(database)
    chat, empty = sessions.list()
    assert empty == Session("empty", "Empty", False, 1700000001000, 1700000001000, None, None, None)
    assert (chat.id, chat.title, chat.leaf_id) == ("chat", "What is WAL?", chat.live_message_id)
    _, reply, _, failed, _, live = sessions.messages("chat")
    assert (reply.content, reply.model) == ("A log – written ahead.", "smollm2")
    assert (reply.status, reply.finish_reason) == ("complete", "stop")
    assert reply.usage == MessageUsage(40, 32, "slot", 7, 0, 0.0, 0.25, 1.5, 2**32 - 1, 47, None)
    assert failed.error == MessageError("worker_died", "The model's process ended.")
    assert (live.status, live.content) == ("streaming", "So that")
    assert [message.content for message in sessions.path("chat", live.id)] == [
        "What is WAL?\nIn one line.",
        "A log – written ahead.",
        "And why, again?",
        "So that",
    ]
    assert (chat.pinned, chat.settings, reply.reasoning) == (False, None, "")
    assert DefaultProfile(database).get() == Settings()
    search = Search(database)
    assert [hit.message_id for hit in search.find("written", 9).hits] == [reply.id]
    assert search.find("so that", 9).hits == []
    assert sessions.interrupt_streaming() == 1
    assert [hit.message_id for hit in search.find("so that", 9).hits] == [live.id]
    sessions.begin_turn("chat", "It goes on")
    sessions.delete("chat")
    assert Retention(database).purge(0, 1) == ["chat"]
    assert search.find("written", 9).hits == []
    database.close()


def test_every_step_is_taken_once_and_recorded(path: Path) -> None:
    database = Database(path)
    migrate(database)
    migrate(database, [*MIGRATIONS, NEXT])
    migrate(database, [*MIGRATIONS, NEXT])
    with database.read() as connection:
        names = connection.execute("SELECT name FROM migrations ORDER BY rowid").fetchall()
    database.close()
    assert names == [(migration.name,) for migration in (*MIGRATIONS, NEXT)]


def test_no_two_steps_have_one_name() -> None:
    assert len({migration.name for migration in MIGRATIONS}) == len(MIGRATIONS)


def test_a_newer_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    database = Database(path)
    migrate(database, [*MIGRATIONS, NEXT, Migration("later", "CREATE TABLE more (x)")])
    database.close()
    before = path.read_bytes()
    database = Database(path)
    # It also lacks a known step; that is not applied either.
    ours = [*MIGRATIONS, Migration("ours", "DROP TABLE messages")]
    with pytest.raises(StoreTooNew, match=r"\(later, next\)\. Update the appliance"):
        migrate(database, ours)
    database.close()
    assert path.read_bytes() == before


def test_a_step_that_fails_leaves_the_old_state(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    _load_and_migrate(path)
    before = _everything(path)
    database = Database(path)
    broken = Migration("next", NEXT.sql + "INSERT INTO no_such_table VALUES (1);")
    with pytest.raises(StoreError, match="no_such_table"):
        migrate(database, [*MIGRATIONS, broken])
    database.close()
    assert _everything(path) == before
    database = Database(path)
    migrate(database, [*MIGRATIONS, NEXT])
    assert {session.title for session in Sessions(database).list()} == {"Empty!", "What is WAL?!"}
    database.close()


MIGRATOR = """
import os, sys
from pathlib import Path
from appliance.store.database import Database
from appliance.store.migrations import MIGRATIONS, Migration, migrate

path, left, sql = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def count_down(cursor, statement, bindings):
    global left
    left -= 1
    if left == 0:
        os._exit(9)
    return True

database = Database(path)
with database.write() as connection:
    connection.exec_trace = count_down
migrate(database, [*MIGRATIONS, Migration("next", sql)] if sql else MIGRATIONS)
"""


def test_a_death_before_any_statement_leaves_the_old_state(tmp_path: Path) -> None:
    for statement in itertools.count(1):
        path = tmp_path / f"{statement}.db"
        _load_and_migrate(path)
        before = _everything(path)
        child = subprocess.run(
            [sys.executable, "-c", MIGRATOR, str(path), str(statement), NEXT.sql],
            cwd=HERE.parents[1],
            check=False,
        )
        if child.returncode == 0:
            break
        assert child.returncode == 9
        assert _everything(path) == before
    assert statement > NEXT.sql.count(";")
    assert _everything(path) != before


def test_a_death_in_the_middle_of_an_upgrade_loses_nothing(tmp_path: Path) -> None:
    _load_and_migrate(tmp_path / "whole.db")
    for statement in itertools.count(1):
        path = tmp_path / f"{statement}.db"
        _load(path)
        child = subprocess.run(
            [sys.executable, "-c", MIGRATOR, str(path), str(statement), ""],
            cwd=HERE.parents[1],
            check=False,
        )
        database = Database(path)
        migrate(database)
        assert len(Sessions(database).messages("chat")) == 6
        assert len(Search(database).find("written", 9).hits) == 1
        database.close()
        assert _schema(path) == _schema(tmp_path / "whole.db")
        if child.returncode == 0:
            break
    assert statement > sum(migration.sql.count(";") for migration in MIGRATIONS[1:]) // 2
