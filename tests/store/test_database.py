"""The database file and its connections."""

import gc
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from appliance.errors import StoreError
from appliance.store import database as module
from appliance.store.database import Database


def _run(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def _count(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute("SELECT id FROM sessions").fetchall())


def _connections(database: Database) -> int:
    gc.collect()
    return sum(one.filename == str(database.path) for one in apsw.connections())


def _insert(connection: apsw.Connection, session_id: str) -> None:
    connection.execute(
        "INSERT INTO sessions (id, title, created_at, updated_at) VALUES (?, '', 0, 0)",
        (session_id,),
    )


def test_what_is_written_is_read_at_once(database: Database) -> None:
    with database.write() as connection:
        _insert(connection, "a")
        assert _count(database) == 0
    assert _count(database) == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_nothing(database: Database, error: type[BaseException]) -> None:
    def insert_and_raise() -> None:
        with database.write() as connection:
            _insert(connection, "a")
            raise error

    with pytest.raises(error):
        insert_and_raise()
    assert _count(database) == 0
    with database.write() as connection:
        _insert(connection, "a")
    assert _count(database) == 1


def test_a_refused_statement_leaves_nothing(database: Database) -> None:
    def insert_twice() -> None:
        with database.write() as connection:
            _insert(connection, "a")
            _insert(connection, "a")

    with pytest.raises(StoreError):
        insert_twice()
    assert _count(database) == 0


def test_writing_blocks_do_not_nest_and_do_not_hang(database: Database) -> None:
    def nest() -> None:
        with database.write() as outer:
            _insert(outer, "a")
            with database.write() as inner:
                _insert(inner, "b")

    with pytest.raises(StoreError):
        nest()
    assert _count(database) == 0


def test_nothing_can_be_written_through_a_reader(database: Database) -> None:
    with pytest.raises(StoreError), database.read() as connection:
        _insert(connection, "a")
    assert _count(database) == 0


def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(StoreError), database.write() as connection:
        connection.execute(
            "INSERT INTO messages (id, session_id, role, status, created_at, content)"
            " VALUES ('m', 'no such session', 'user', 'complete', 0, '')"
        )


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = Database(tmp_path / "new" / "deeper" / "appliance.db")
        with database.write() as connection:
            connection.execute("CREATE TABLE t (x)")
    finally:
        os.umask(before)
    modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in tmp_path.glob("new/**/*")}
    database.close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert modes == {
        "deeper": 0o700,
        "appliance.db": 0o600,
        "appliance.db-wal": 0o600,
        "appliance.db-shm": 0o600,
    }


def test_a_folder_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    before = tmp_path.stat().st_mode
    Database(tmp_path / "appliance.db").close()
    assert tmp_path.stat().st_mode == before


def test_an_sqlite_that_can_damage_the_file_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(StoreError, match=r"SQLite 3\.51\.2 .* 3\.51\.3 or newer"):
        Database(path)
    assert not path.exists()
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.3")
    Database(path).close()


def test_closing_folds_everything_into_one_file(database: Database, path: Path) -> None:
    with database.write() as connection:
        _insert(connection, "a")
    _run(lambda: _count(database))
    assert _count(database) == 1
    database.close()
    database.close()
    assert {found.name for found in path.parent.iterdir()} == {path.name, f"{path.name}-commits"}
    again = Database(path)
    assert _count(again) == 1
    again.close()


def test_any_number_of_threads_reads_through_a_few_connections(database: Database) -> None:
    together = threading.Barrier(module.READERS)
    counted: list[int] = []

    def read_at_once() -> None:
        with database.read() as connection:
            together.wait(30)
            # The same connection: a thread never waits for itself.
            counted.append(_count(database))
            assert connection.execute("SELECT 1").fetchall()

    def read_often() -> None:
        counted.extend(_count(database) for _ in range(20))

    for work, number in ((read_at_once, module.READERS), (read_often, 150)):
        threads = [threading.Thread(target=work) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(counted) == module.READERS + 150 * 20
    opened = _connections(database)
    database.close()
    assert (opened, _connections(database)) == (1 + module.READERS, 0)


def test_closing_amid_reading_and_writing_ends_both_with_an_error(database: Database) -> None:
    ended: list[str] = []
    under_way = threading.Barrier(9)

    def work(step: Callable[[], object]) -> None:
        step()
        under_way.wait(30)
        try:
            while True:
                step()
        except StoreError as error:
            ended.append(str(error))

    def write() -> None:
        with database.write() as connection:
            connection.execute("UPDATE sessions SET title = ''")

    steps: list[Callable[[], object]] = [lambda: _count(database)] * 4 + [write] * 4
    threads = [threading.Thread(target=work, args=[step]) for step in steps]
    for thread in threads:
        thread.start()
    under_way.wait(30)
    database.close()
    for thread in threads:
        thread.join(30)
    assert ended == ["The database is closed."] * 8


def test_closing_waits_for_a_writer_that_has_yet_to_read(path: Path) -> None:
    database = Database(path)
    with database.write() as connection:
        connection.execute(
            "CREATE TABLE sessions (id TEXT, title TEXT, created_at INTEGER, updated_at INTEGER)"
        )
    writing, closing = threading.Event(), threading.Event()
    counted: list[int] = []

    def write_then_read() -> None:
        with database.write() as connection:
            _insert(connection, "a")
            writing.set()
            closing.wait(30)
            # Time for close() to reach the lock held here.
            time.sleep(0.2)
            counted.append(_count(database))

    def close() -> None:
        closing.set()
        database.close()

    threads = [threading.Thread(target=work, daemon=True) for work in (write_then_read, close)]
    threads[0].start()
    writing.wait(30)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert counted == [0]
    again = Database(path)
    assert _count(again) == 1
    again.close()


def test_after_closing_every_use_is_an_error(database: Database) -> None:
    database.close()
    with pytest.raises(StoreError, match="closed"), database.read():
        pass
    with pytest.raises(StoreError, match="closed"), database.write():
        pass
    ended: list[str] = []

    def from_a_new_thread() -> None:
        try:
            _count(database)
        except StoreError as error:
            ended.append(str(error))

    _run(from_a_new_thread)
    assert ended == ["The database is closed."]


def test_another_program_that_writes_is_waited_for(database: Database) -> None:
    other = apsw.Connection(str(database.path))
    other.execute("BEGIN IMMEDIATE")
    waiting = threading.Timer(0.3, other.execute, ["COMMIT"])
    waiting.start()
    with database.write() as connection:
        _insert(connection, "a")
    waiting.join()
    other.close()
    assert _count(database) == 1


def test_another_program_that_never_stops_writing_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT", 50)
    database = Database(path)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="Another program"), database.write():
        pass
    other.execute("COMMIT")
    with database.write() as connection:
        connection.execute("CREATE TABLE t (x)")
    other.close()
    database.close()


def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a letter to my aunt " * 1_000)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="damaged"):
        Database(path)
    assert path.read_bytes() == before


def test_a_place_that_cannot_hold_a_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file / "appliance.db", tmp_path):
        with pytest.raises(StoreError, match=re.escape(str(path))):
            Database(path)


@pytest.mark.skipif(os.name != "posix", reason="the VFS is POSIX's")
def test_a_file_system_that_cannot_share_memory_is_refused(path: Path) -> None:
    before = apsw.vfs_names()[0]
    apsw.set_default_vfs("unix-dotfile")
    try:
        with pytest.raises(StoreError, match="no shared memory"):
            Database(path)
    finally:
        apsw.set_default_vfs(before)
