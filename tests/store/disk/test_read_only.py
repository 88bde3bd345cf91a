"""Without write access, chats can still be read; on a full disk, they can be deleted; everything
works again once there is room."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import StoreError, StoreFull, StoreReadOnly
from appliance.store.copies.backup import back_up
from appliance.store.copies.upgrade import open_upgraded
from appliance.store.database import Database
from appliance.store.disk import reserve
from appliance.store.migrations import MIGRATIONS, pending
from appliance.store.search import Search
from appliance.store.sessions import Sessions
from appliance.store.upkeep.notices import Notices
from appliance.store.upkeep.retention import Retention
from tests.store.conftest import read_only, small_disk
from tests.store.test_restore import as_killed

LONG = "words " * 3_000


def fill(folder: Path) -> Path:
    """Fill the disk."""
    file = folder / "film.mkv"
    with file.open("wb") as stream:
        try:
            while True:
                os.write(stream.fileno(), bytes(4096))
        except OSError:
            pass
    return file


def state_of(database: Database) -> str:
    return database.state.state


def titles(sessions: Sessions) -> set[str]:
    return {session.title for session in sessions.list()}


@pytest.mark.parametrize("wal", [True, False])
def test_a_read_only_folder_is_read(path: Path, tmp_path: Path, wal: bool) -> None:
    as_killed(path)
    if not wal:
        Database(path).close()
    with read_only(path.parent):
        database = open_upgraded(path, "1")
        sessions = Sessions(database)
        assert titles(sessions) == {"In the file", "In the WAL"}
        assert Search(database).find("words", 9).hits
        assert sessions.interrupt_streaming() == 0
        for _ in range(3):
            with pytest.raises(StoreReadOnly, match="can be read, but not written"):
                sessions.create("more")
            assert titles(sessions) == {"In the file", "In the WAL"}
        database.tend()
        assert state_of(database) == "read_only"
        status = Notices(database).status(Retention(database).expired)
        assert status.state == "read_only" and "not written" in status.detail
        made = back_up(path, tmp_path / "copy.db")
        assert made.tables["sessions"] == 2
    # Writing works again, without a restart.
    assert sessions.create("more") in sessions.list()
    assert (state_of(database), len(sessions.list())) == ("ok", 3)
    database.close()
    assert len(Sessions(Database(path)).list()) == 3


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """The folder's files on a disk on which nothing fits any more."""
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    with small_disk(folder, 4_000_000):
        for name, data in files.items():
            (folder / name).write_bytes(data)
        fill(folder)
        yield


@pytest.mark.parametrize("trouble", [read_only, full])
def test_what_cannot_be_upgraded_is_read(path: Path, trouble: Any) -> None:
    database = open_upgraded(path, "1", MIGRATIONS[:-1])
    with database.write() as connection:
        connection.execute(
            "INSERT INTO sessions (id, title, created_at, updated_at) VALUES ('kept', 'Kept', 1, 1)"
        )
    database.close()
    before = path.read_bytes()
    with trouble(path.parent):
        database = open_upgraded(path, "2")
        sessions = Sessions(database)
        assert state_of(database) == ("read_only" if trouble is read_only else "full")
        for _ in range(2):
            assert titles(sessions) == {"Kept"}
            with pytest.raises((StoreReadOnly, StoreFull)):
                sessions.create("more")
            database.tend()
        copy = database.path
        database.close()
        assert not copy.exists()
        assert path.read_bytes() == before
    # Once it can be, it is.
    database = open_upgraded(path, "2")
    assert not pending(database, MIGRATIONS)
    Sessions(database).create("more")
    assert titles(Sessions(database)) == {"Kept", "more"}
    database.close()


@pytest.mark.parametrize("inodes", [0, 8])
def test_a_full_disk_is_read_and_deleted_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inodes: int
) -> None:
    monkeypatch.setattr(reserve, "SIZE", 256 * 1024)
    folder = tmp_path / "data"
    folder.mkdir()
    with small_disk(folder, 4_000_000, inodes):
        path = folder / "appliance.db"
        database = open_upgraded(path, "1")
        database._reserve = reserve.Reserve(folder, reserve.SIZE)
        sessions = Sessions(database)
        chats = [sessions.create(f"{number}").id for number in range(8)]
        for chat in chats:
            _, reply = sessions.begin_turn(chat, LONG)
            sessions.finish_reply(reply.id, LONG * 3, "complete")
        database.tend()
        assert state_of(database) == "ok"
        film = _full(folder, inodes)
        if not inodes:
            with pytest.raises(StoreFull):
                _talk_on(sessions)
            assert state_of(database) == "full"
        database.close()
        film2 = _full(folder, inodes)

        database = open_upgraded(path, "1")
        database._reserve = reserve.Reserve(folder, reserve.SIZE)
        sessions = Sessions(database)
        assert sessions.interrupt_streaming() == 0
        assert set(chats) <= {session.id for session in sessions.list()}
        assert len(sessions.messages(chats[0])) == 2
        assert state_of(database) == "full"
        with pytest.raises(StoreFull):
            sessions.begin_turn(chats[0], LONG)
        with pytest.raises(StoreError, match=r"full|no room|No space"):
            back_up(path, folder / "copy.db")
        # Deleting works, permanently, and frees space.
        for chat in chats[:4]:
            sessions.delete(chat)
        retention = Retention(database)
        assert set(retention.purge(0, age=1)) == set(chats[:4])
        assert {session.id for session in sessions.list()} >= set(chats[4:])
        free = shutil.disk_usage(folder).free
        assert inodes or free > 4 * len(LONG) * 3
        # Space becomes available.
        for file in (*film, *film2):
            file.unlink(missing_ok=True)
        database.tend()
        database.tend()
        assert state_of(database) == "ok"
        sessions.begin_turn(sessions.create("new").id, LONG)
        database.close()
    assert not (folder / "appliance.db").exists()


def _talk_on(sessions: Sessions) -> None:
    for _ in range(100):
        sessions.begin_turn(sessions.create("more").id, LONG)


def _full(folder: Path, inodes: int) -> list[Path]:
    """Has no room any more, or no place for another file."""
    if not inodes:
        return [fill(folder)]
    files: list[Path] = []
    for number in range(100):
        file = folder / f"small{number}-{len(files)}"
        try:
            file.open("xb").close()
        except FileExistsError:
            continue
        except OSError:
            break
        files.append(file)
    return files


def test_the_reserve_is_really_there_and_is_given_up_once(tmp_path: Path) -> None:
    kept = reserve.Reserve(tmp_path, 1 << 20)
    assert not kept.is_whole() and not kept.give_up()
    assert kept.fill() and kept.is_whole()
    blocks = [file.stat().st_blocks * 512 for file in tmp_path.iterdir()]
    assert len(blocks) == 2 and min(blocks) >= 1 << 20
    assert kept.give_up() and not kept.give_up()
    assert list(tmp_path.iterdir()) == []
