"""Databases of other programs, read from a copy: neither they nor files beside them are changed."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from appliance.errors import StoreError

MAGIC = b"SQLite format 3\x00"
OURS = 0x4170706C
STEPS = 100_000_000
"""Of SQLite's virtual machine, after which a file is given up: reading a table takes few a row."""


def read_table(file: Path, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a table.

    Raises:
        StoreError: the file is no database that has it.
    """
    with tempfile.TemporaryDirectory(prefix="appliance-import-") as folder:
        copy = Path(folder) / "copy.db"
        try:
            shutil.copyfile(file, copy)
            # What was written last may be in its log only.
            log = file.with_name(f"{file.name}-wal")
            if log.is_file():
                shutil.copyfile(log, copy.with_name("copy.db-wal"))
        except OSError as ex:
            raise StoreError(f"cannot be read: {ex.strerror}") from ex
        return _read(copy, table, columns)


def _read(file: Path, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    connection = None
    try:
        connection = apsw.Connection(str(file))
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.set_progress_handler(lambda: True, STEPS)
        ours: Any = connection.execute("PRAGMA application_id").fetchone()
        if ours and ours[0] == OURS:
            raise StoreError("it is a database of the appliance: use `appliance restore`")
        made: Any = connection.execute(
            "SELECT type FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchone()
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if made != ("table",) or not set(columns) <= there:
            raise StoreError(f"it has no table {table} with the columns {', '.join(columns)}")
        rows: Any = connection.execute(
            f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 - our own names
        ).fetchall()
        return list(rows)
    except apsw.Error as ex:
        raise StoreError(f"it is no readable database: {ex}") from ex
    finally:
        if connection is not None:
            connection.close()
