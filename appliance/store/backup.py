"""Copies of the database, by SQLite's own backup: whole, while others write, and read back.

A copy is one file without a WAL beside it, readable by its owner alone.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import apsw
import msgspec

from appliance.errors import StoreError

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

    Raises:
        StoreError: it cannot be read or the copy cannot be written, or is not what it should be;
            what `target` was before is as it was.
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
        _settle(part)
        part.replace(target)
        _settle(target.parent)
    except OSError as ex:
        raise StoreError(f"{target} cannot be written: {ex.strerror}.") from ex
    except apsw.Error as ex:
        raise StoreError(f"{database} cannot be copied to {target}: {ex}.") from ex
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
        with _opened(path, apsw.SQLITE_OPEN_READONLY) as connection:
            problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
            if problems != ["ok"] or broken:
                raise StoreError(
                    f"{path} is damaged: {'; '.join(problems)}, {len(broken)} references."
                )
            return _counts(connection)
    except apsw.Error as ex:
        raise StoreError(f"{path} is damaged or no database: {ex}.") from ex


def restore(copy: Path, database: Path) -> Path | None:
    """Put a copy in the place of the database, which nobody may be using.

    Returns:
        Where the database that stood there is now; None: there was none.

    Raises:
        StoreError: the copy is damaged, or the files cannot be moved.
    """
    read_back(copy)
    kept = None
    try:
        if database.exists():
            _fold(database)
            kept = _free_name(
                database.with_name(f"{database.name}.{time.strftime('%Y%m%d-%H%M%S')}")
            )
            # A WAL that is there all the same goes with it: it belongs to no other file.
            for end in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{database}{end}").rename(f"{kept}{end}")
        back_up(copy, database)
    except OSError as ex:
        raise StoreError(f"{database} cannot be replaced: {ex.strerror}.") from ex
    return kept


def _copy(database: Path, part: Path) -> dict[str, int]:
    """Copy as of one moment; the rows that each table had then."""
    with (
        _opened(database, apsw.SQLITE_OPEN_READWRITE) as source,
        _opened(part, apsw.SQLITE_OPEN_READWRITE) as target,
    ):
        source.execute("BEGIN")
        tables = _counts(source)
        with target.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(PAGES_A_STEP)
        source.execute("COMMIT")
        target.pragma("journal_mode", "delete")
    return tables


def _fold(database: Path) -> None:
    """Have what stands in its WAL alone written into the file; a damaged one stays as it is."""
    with contextlib.suppress(apsw.Error), _opened(database, apsw.SQLITE_OPEN_READWRITE) as opened:
        opened.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


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


def _settle(path: Path) -> None:
    """Have the disk write it."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_name(wanted: Path) -> Path:
    name, number = wanted, 1
    while name.exists():
        number += 1
        name = wanted.with_name(f"{wanted.name}-{number}")
    return name
