"""`restore` accepts only our databases, keeps the previous one, and may be killed at any step."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from appliance.errors import StoreError, StoreFull, StoreTooNew
from appliance.store.copies.backup import back_up, read_back
from appliance.store.copies.restore import clear_leftovers, restore
from appliance.store.copies.upgrade import open_upgraded
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.sessions import Sessions
from tests.store.conftest import small_disk

LONG = "words " * 3_000


def titles(path: Path) -> set[str]:
    database = open_upgraded(path, "1")
    try:
        return {session.title for session in Sessions(database).list()}
    finally:
        database.close()


def as_killed(path: Path) -> None:
    """Leaves the database as a killed process does: its newest chats are only in the WAL."""
    database = Database(path)
    migrate(database)
    Sessions(database).create("In the file")
    database.checkpoint()
    sessions = Sessions(database)
    sessions.begin_turn(sessions.create("In the WAL").id, LONG)
    ends = ("", "-wal", "-commits")
    content = {end: path.with_name(path.name + end).read_bytes() for end in ends}
    database.close()
    for end in ends:
        path.with_name(path.name + end).write_bytes(content[end])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    database = Database(tmp_path / "other" / "appliance.db")
    migrate(database)
    Sessions(database).create("Restored")
    database.close()
    made = back_up(database.path, tmp_path / "copy.db")
    return Path(made.path)


@pytest.mark.parametrize("there", ["killed", "none", "damaged", "no database", "cut off WAL"])
def test_what_was_there_is_kept_whole(path: Path, copy: Path, there: str) -> None:
    path.parent.mkdir()
    if there != "none":
        as_killed(path)
    if there == "damaged":
        content = bytearray(path.read_bytes())
        content[4096 * 3 : 4096 * 6] = os.urandom(4096 * 3)
        path.write_bytes(content)
    elif there == "no database":
        path.write_bytes(b"something else " * 1000)
    elif there == "cut off WAL":
        wal = path.with_name(f"{path.name}-wal")
        wal.write_bytes(wal.read_bytes()[:-5000])
    before = {
        end: path.with_name(path.name + end).read_bytes()
        for end in ("", "-wal")
        if path.with_name(path.name + end).exists()
    }
    kept = restore(copy, path)
    assert titles(path) == {"Restored"}
    if there == "none":
        assert kept is None
        return
    assert kept and kept.path.stat().st_mode & 0o077 == 0
    if kept.whole:
        read_back(kept.path)
        assert not kept.path.with_name(f"{kept.path.name}-wal").exists()
        expected = {"In the file"} if "WAL" in there else {"In the file", "In the WAL"}
        assert titles(kept.path) >= expected
    else:
        assert kept.path.read_bytes() == before[""]
        assert kept.path.with_name(f"{kept.path.name}-wal").read_bytes() == before["-wal"]
    assert kept.whole == (there in ("killed", "cut off WAL"))


def test_what_is_not_ours_is_named_and_changes_nothing(path: Path, tmp_path: Path) -> None:
    as_killed(path)
    database = Database(path)
    database.close()
    before = path.read_bytes()
    foreign = tmp_path / "sessions.db"
    other = apsw.Connection(str(foreign))
    other.execute("CREATE TABLE sessions (id TEXT, history TEXT); CREATE TABLE meta (x)").fetchall()
    other.close()
    newer = Database(tmp_path / "newer.db")
    migrate(newer)
    with newer.write() as connection:
        connection.execute("INSERT INTO migrations VALUES ('9999_later', 0)")
    newer.close()
    (tmp_path / "export.json").write_text('{"format": "appliance.chat"}')
    (tmp_path / "empty.db").touch()
    (tmp_path / "letter.db").write_text("Dear diary, " * 500)
    for name, kind, expected in (
        ("sessions.db", StoreError, r"another program \(its tables: meta, sessions\)"),
        ("newer.db", StoreTooNew, "9999_later"),
        ("export.json", StoreError, "JSON: the page imports"),
        ("empty.db", StoreError, r"another program \(its tables: none\)"),
        ("letter.db", StoreError, "a file of another kind"),
    ):
        with pytest.raises(kind, match=expected):
            restore(tmp_path / name, path)
        assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}-commits"}


class Deaths:
    """Kills this process at the n-th moment at which it changes a file."""

    def __init__(self, moment: int) -> None:
        self._left = moment

    def watch(self) -> None:
        sys.addaudithook(self._on_event)
        vfs = _DyingDisk(self.step)
        apsw.set_default_vfs(vfs.name)
        self._vfs = vfs

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        flags = arguments[2] if event == "open" else 0
        writes = isinstance(flags, int) and flags & os.O_ACCMODE
        if writes or event in ("os.rename", "os.remove", "os.mkdir", "shutil.copyfile"):
            self.step()

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _DyingDisk(apsw.VFS):
    def __init__(self, step: Callable[[], None]) -> None:
        self.name, self.step, self.real = "dying", step, apsw.vfs_names()[0]
        super().__init__(self.name, self.real)

    def xOpen(  # noqa: N802
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _DyingFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.step()
        super().xDelete(filename, syncdir)


class _DyingFile(apsw.VFSFile):
    def __init__(
        self, disk: _DyingDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__(disk.real, name, flags)
        self._step = disk.step

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._step()
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._step()
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._step()
        super().xSync(flags)


def killed_at(moment: int, work: Callable[[], object]) -> bool:
    """Whether a process that runs it was killed at that moment; otherwise it completed."""
    child = os.fork()
    if child == 0:
        try:
            Deaths(moment).watch()
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_killed_between_any_two_steps_nothing_is_lost(path: Path, copy: Path) -> None:
    path.parent.mkdir()
    as_killed(path)
    begin = path.with_name("begin")
    shutil.copytree(path.parent, begin, ignore=lambda *_: ["begin"])
    ends = []
    for moment in range(1, 2000):
        folder = path.parent / str(moment)
        shutil.copytree(begin, folder)
        database = folder / path.name
        died = killed_at(moment, lambda: restore(copy, database))  # noqa: B023 - called at once
        # The next service starts, and the user looks for the earlier chats.
        now = titles(database)
        assert now in ({"Restored"}, {"In the file", "In the WAL"}), moment
        ends.append(now == {"Restored"})
        if ends[-1]:
            kept = list(folder.glob("appliance.db.2*"))
            assert len(kept) == 1 and titles(kept[0]) == {"In the file", "In the WAL"}, moment
        # No incomplete files are left.
        clear_leftovers(database)
        assert not [file for file in folder.iterdir() if file.name.startswith(".")], moment
        shutil.rmtree(folder)
        if not died:
            break
    assert ends[0] is False and ends[-1] is True and moment > 30
    assert ends == sorted(ends), "once the new one stood there, the old one came back"


def test_a_copy_on_a_full_disk_says_so(path: Path, tmp_path: Path) -> None:
    as_killed(path)
    full = tmp_path / "full"
    full.mkdir()
    with small_disk(full, 40_000):
        with pytest.raises(StoreFull, match="no room for"):
            back_up(path, full / "copy.db")
        assert list(full.iterdir()) == []
