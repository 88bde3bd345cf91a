"""Copies of the database, by SQLite's own backup: complete, while others write, and verified.

A copy is one file without a WAL beside it, readable by its owner alone.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import apsw
import msgspec

from appliance.errors import StoreError, StoreFull
from appliance.store.disk.read_only import open_unlocked
from appliance.system.files import sync_folder

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
PAGES_A_STEP = 1024
"""Between two steps others may write, and a full disk is noticed."""


class Backup(msgspec.Struct, frozen=True):
    """A copy that was made and read back."""

    path: str
    bytes: int
    tables: dict[str, int]
    """Rows of each table."""


def back_up(database: Path, target: Path) -> Backup:
    """Copy a database that others may be using, to a file that appears whole or not at all.

    The copy has nothing of what was deleted.

    Raises:
        StoreFull: the copy does not fit on the disk.
        StoreError: the database cannot be read or the copy cannot be written, or is not what it
            should be; what `target` was before is as it was.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        tables = _copy(database, part)
        found = read_back(part)
        if found != tables:
            raise StoreError(f"The copy of {database} is not like it: {found}, not {tables}.")
        _sync(part)
        part.replace(target)
        sync_folder(target.parent)
    except OSError as ex:
        kind = StoreFull if ex.errno in _NO_SPACE else StoreError
        raise kind(f"{target} cannot be written: {ex.strerror}.") from ex
    except apsw.Error as ex:
        raise _explained(ex, database, target) from ex
    finally:
        for file in (part, *(part.with_name(part.name + end) for end in ("-wal", "-shm"))):
            with contextlib.suppress(OSError):
                file.unlink()
    return Backup(str(target), target.stat().st_size, tables)


def read_back(path: Path) -> dict[str, int]:
    """The rows of each table of a database whose every page and reference was checked.

    Raises:
        StoreError: it is damaged, or no database.
    """
    try:
        with reading(path) as connection:
            problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
            if problems != ["ok"] or broken:
                raise StoreError(
                    f"{path} is damaged: {'; '.join(problems)}, {len(broken)} references."
                )
            return _counts(connection)
    except apsw.Error as ex:
        raise StoreError(f"{path} is damaged or no database: {ex}.") from ex


@contextlib.contextmanager
def reading(database: Path) -> Iterator[apsw.Connection]:
    """A connection to what is to be copied, which changes nothing of it.

    Raises:
        apsw.Error: it cannot be read.
    """
    connection = _source(database)
    try:
        yield connection
    finally:
        with contextlib.suppress(apsw.Error):  # it was read, and nothing is left to be done
            connection.close()


def _source(database: Path) -> apsw.Connection:
    try:
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(10_000)
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError, apsw.FullError):
        # Nothing can be written beside it, so that no other process does.
        return open_unlocked(database)
    return connection


def _copy(database: Path, part: Path) -> dict[str, int]:
    """Copy as of one moment; the rows that each table had then."""
    with (
        reading(database) as copied,
        _opened(part, apsw.SQLITE_OPEN_READWRITE) as target,
    ):
        copied.execute("BEGIN")
        tables = _counts(copied)
        _copy_pages(copied, target)
        copied.execute("COMMIT")
        target.pragma("journal_mode", "delete")
        if not _is_clean(target):
            # Nothing else uses the copy, and after a power failure it is not used.
            target.pragma("journal_mode", "off")
            target.execute("VACUUM").fetchall()
            target.pragma("journal_mode", "delete")
    return tables


def _copy_pages(copied: apsw.Connection, target: apsw.Connection) -> None:
    backup = target.backup("main", copied, "main")
    try:
        while not backup.done:
            backup.step(PAGES_A_STEP)
        backup.finish()
    except apsw.Error as ex:
        # SQLite's answer to a write that failed says nothing by itself.
        reason = target.system_errno
        with contextlib.suppress(apsw.Error):
            backup.close(force=True)
        if reason in _NO_SPACE:
            raise apsw.FullError(os.strerror(reason)) from ex
        raise


def _is_clean(connection: apsw.Connection) -> bool:
    """Whether nothing that was deleted is left in the file's pages."""
    if not connection.table_exists("main", "storage"):
        return False
    row = connection.execute("SELECT vacuumed FROM storage").fetchone()
    return bool(row and row[0])


def _explained(error: apsw.Error, database: Path, target: Path) -> StoreError:
    match error:
        case apsw.FullError():
            return StoreFull(f"The disk has no room for {target}; nothing was changed.")
        case apsw.CorruptError() | apsw.NotADBError():
            return StoreError(f"{database} is damaged or no database: {error}.")
        case _:
            return StoreError(f"{database} cannot be copied to {target}: {error}.")


def _sync(path: Path) -> None:
    """Have the disk write a file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(10_000)
    try:
        yield connection
    finally:
        connection.close()


def _counts(connection: apsw.Connection) -> dict[str, int]:
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"
    ).fetchall()
    counts = {}
    for (name,) in names:
        (number,) = connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0]  # noqa: S608
        counts[str(name)] = cast(int, number)
    return counts
