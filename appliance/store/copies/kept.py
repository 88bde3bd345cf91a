"""Copies kept by upgrades and restores: they contain chats that were deleted since, and are removed
after a while."""

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.errors import StoreError
from appliance.store.database import Database

log = logging.getLogger(__name__)

DAYS = 30
_DAY = 24 * 3600 * 1000
FOLDER = "backups"
"""Beside the database. What `appliance backup` puts there is the person's own and stays."""
_BY_UPGRADES = re.compile(r"before-.*\.db")
_BY_RESTORES = r"\.\d{8}-\d{6}(-\d+)?(-wal)?"


def kept_copies(database: Path) -> Iterator[Path]:
    """The files of all of them."""
    by_restores = re.compile(re.escape(database.name) + _BY_RESTORES)
    for folder, pattern in (
        (database.parent, by_restores),
        (database.parent / FOLDER, _BY_UPGRADES),
    ):
        with contextlib.suppress(OSError):
            for file in sorted(folder.iterdir()):
                if pattern.fullmatch(file.name) and file.is_file() and not file.is_symlink():
                    yield file


def expire(database: Database, age: int) -> list[Path]:
    """Remove those that were seen here for 30 days, and return them.

    Args:
        database: they are copies of.
        age: the time that chats age by, in milliseconds.

    Raises:
        StoreError: the database failed.
    """
    there = {
        str(file.relative_to(database.path.parent)): file for file in kept_copies(database.path)
    }
    with database.read() as connection:
        rows: Any = connection.execute("SELECT name, age FROM kept_copies").fetchall()
    seen: dict[str, int] = dict(rows)
    new, gone = there.keys() - seen.keys(), seen.keys() - there.keys()
    removed = []
    for name in there.keys() & seen.keys():
        if seen[name] <= age - DAYS * _DAY:
            try:
                there[name].unlink()
            except OSError as ex:
                log.warning("%s, which was kept for %d days, stays: %s", there[name], DAYS, ex)
                continue
            removed.append(there[name])
            gone |= {name}
    if new or gone:
        with contextlib.suppress(StoreError), database.write() as connection:
            connection.executemany("DELETE FROM kept_copies WHERE name = ?", [(n,) for n in gone])
            connection.executemany(
                "INSERT INTO kept_copies (name, age) VALUES (?, ?)", [(n, age) for n in new]
            )
    for file in removed:
        log.info("%s, which was kept for %d days, was removed", file, DAYS)
    return removed
