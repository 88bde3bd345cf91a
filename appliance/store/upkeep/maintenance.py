"""Maintenance of the database: rewriting its file once, and emptying its WAL."""

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from appliance.store.database import Database
from appliance.store.disk.commit_record import LostCommits

log = logging.getLogger(__name__)

VACUUM_ROOM = 2.2
"""Free space, in sizes of the database, that is needed to rewrite it: once into the WAL, and once
into the file."""
_RETRY = 24 * 3600 * 1000


class Maintenance:
    """For one thread."""

    def __init__(self, database: Database, free: Callable[[], int] | None = None) -> None:
        """`database` is migrated; `free`: bytes that are free on its disk."""
        self._database = database
        self._free = free or (lambda: shutil.disk_usage(database.path.parent).free)
        self._next_vacuum = 0

    def run(self, age: int) -> None:
        """Do what is due; `age` is the time that chats age by, in milliseconds.

        Raises:
            StoreError: the database failed.
        """
        self._database.tend()
        if age >= self._next_vacuum:
            self._next_vacuum = age + _RETRY
            self._vacuum_once()

    def _vacuum_once(self) -> None:
        """Texts that were deleted by versions that did not overwrite them are still in the file
        until it is rewritten."""
        with self._database.read() as connection:
            row: Any = connection.execute("SELECT vacuumed FROM storage").fetchone()
        if not row or row[0]:
            return
        size, free = self._database.path.stat().st_size, self._free()
        if free < VACUUM_ROOM * size:
            log.warning(
                "what was deleted by older versions stays in %s until the disk has %d MB free",
                self._database.path,
                VACUUM_ROOM * size / 1e6,
            )
            return
        self._database.vacuum()
        with self._database.write() as connection:
            connection.execute("UPDATE storage SET vacuumed = 1")
        self._database.checkpoint()


def describe_loss(lost: LostCommits) -> str:
    """What is missing, for a person."""
    since = f" after {_time(lost.since)}" if lost.since else ""
    return (
        f"{lost.number} changes to the chats{since}, the last of {_time(lost.until)}, are lost: "
        "the file that had them was missing or damaged. Messages of that time may be missing."
    )


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
