"""Backups of a database in use: complete, verified, and restored."""

import os
import stat
import threading
from pathlib import Path

import apsw
import pytest

from appliance.errors import StoreError
from appliance.store.copies.backup import back_up, read_back
from appliance.store.copies.restore import restore
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.sessions import Sessions


def titles(path: Path) -> set[str]:
    database = Database(path)
    try:
        return {session.title for session in Sessions(database).list()}
    finally:
        database.close()


def test_a_copy_has_everything_and_is_one_private_file(
    database: Database, sessions: Sessions, tmp_path: Path
) -> None:
    chat = sessions.create("A chat")
    sessions.begin_turn(chat.id, "A question")
    made = back_up(database.path, tmp_path / "copies" / "copy.db")
    assert made.tables["sessions"] == 1
    assert made.tables["messages"] == 2
    assert made.tables == read_back(Path(made.path))
    assert made.bytes == Path(made.path).stat().st_size
    assert list((tmp_path / "copies").iterdir()) == [Path(made.path)]
    assert stat.S_IMODE(Path(made.path).stat().st_mode) == 0o600
    assert titles(Path(made.path)) == {"A chat"}


def test_a_copy_made_while_others_write_is_of_one_moment(
    database: Database, sessions: Sessions, tmp_path: Path
) -> None:
    for number in range(300):
        sessions.begin_turn(sessions.create(f"{number}").id, "x" * 5000)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            sessions.begin_turn(sessions.create("more").id, "y" * 500)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            made = back_up(database.path, tmp_path / f"{number}.db")
            # A chat and its two messages: never only some of them.
            assert made.tables["messages"] in {
                2 * made.tables["sessions"],
                2 * made.tables["sessions"] - 2,
            }
    finally:
        done.set()
        writer.join()


def test_a_damaged_copy_is_noticed_and_never_put_back(
    database: Database, sessions: Sessions, tmp_path: Path
) -> None:
    for number in range(50):
        sessions.begin_turn(sessions.create(f"{number}").id, "x" * 3000)
    copy = Path(back_up(database.path, tmp_path / "copy.db").path)
    content = bytearray(copy.read_bytes())
    content[8192:12288] = os.urandom(4096)
    copy.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        read_back(copy)
    database.close()
    before = database.path.read_bytes()
    with pytest.raises(StoreError, match="damaged"):
        restore(copy, database.path)
    assert database.path.read_bytes() == before


def test_what_is_no_database_is_refused(database: Database, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("Dear diary," * 1000)
    for source in (tmp_path / "text.db", tmp_path / "none.db"):
        with pytest.raises(StoreError):
            back_up(source, tmp_path / "copy.db")
        with pytest.raises(StoreError):
            restore(source, database.path)
    assert not (tmp_path / "copy.db").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_was_there_stays_when_the_copy_fails(database: Database, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")
    blocked = tmp_path / "copy.db" / "inside"
    with pytest.raises(StoreError):
        back_up(database.path, blocked)
    with pytest.raises(StoreError):
        back_up(tmp_path / "none.db", tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_put_back_the_old_one_is_kept_with_its_wal(path: Path, tmp_path: Path) -> None:
    database = Database(path)
    migrate(database)
    Sessions(database).create("Before")
    copy = Path(back_up(path, tmp_path / "copy.db").path)
    Sessions(database).create("After")
    database.close()
    # As a killed process leaves it: the newest data is only in the WAL.
    killed = apsw.Connection(str(path))
    killed.pragma("wal_autocheckpoint", 0)
    killed.execute("UPDATE sessions SET title = 'In the WAL' WHERE title = 'After'")
    wal = path.with_name(f"{path.name}-wal").read_bytes()
    content = path.read_bytes()
    killed.close()
    path.write_bytes(content)
    path.with_name(f"{path.name}-wal").write_bytes(wal)

    kept = restore(copy, path)

    assert titles(path) == {"Before"}
    assert kept and kept.whole and titles(kept.path) == {"Before", "In the WAL"}
