"""The one SQLite file and every connection to it.

Any thread may come in. Writers take turns on one connection, each in a transaction of its own;
every thread reads through a connection of its own and never waits for a writer (WAL). A commit has
reached the disk when `write()` returns (`synchronous=FULL`), and a process that dies at any moment
leaves either all of a transaction or nothing.
"""

import contextlib
import errno
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import apsw

from appliance.errors import StoreError, StoreFull

OLDEST_SQLITE = (3, 51, 3)
"""Older ones can damage a WAL file that two connections write and checkpoint at the same time."""

BUSY_TIMEOUT = 10_000
"""Milliseconds to wait for another process that is writing."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


class _Reader:
    """A connection that one thread reads through; the lock is for `Database.close()` alone."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.lock = threading.RLock()


class Database:
    """Connections to one file; `close()` when done.

    What its methods and context managers raise:
        StoreFull: the disk is full; nothing of the transaction was kept, and reading goes on.
        StoreError: anything else that SQLite refuses, and every use after `close()`.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, and makes it if need be: it and new folders for their owner alone."""
        _check_sqlite()
        self.path = path
        self._closed = False
        self._write_lock = threading.RLock()
        self._readers_lock = threading.Lock()
        # Weak, so that the connection of a thread that has ended is closed with it.
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._mine = threading.local()
        try:
            _create(path)
        except OSError as error:
            kind = StoreFull if error.errno in _NO_SPACE else StoreError
            raise kind(f"The database {path} cannot be created: {error.strerror}.") from error
        self._writer = self._open(apsw.SQLITE_OPEN_READWRITE)

    @contextlib.contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """One transaction, alone: committed at the end of the block, undone if that raises.

        Keep the connection to the block and the block short. Blocks do not nest.
        """
        with self._write_lock:
            self._check_open()
            connection = self._writer
            try:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            except apsw.Error as error:
                raise self._translated(error, connection) from error

    @contextlib.contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """This thread's reading connection; every statement sees the last commit before it.

        Fetch all rows within the block: an unfinished statement keeps the WAL file growing.
        """
        reader = self._reader()
        with reader.lock:
            self._check_open()
            try:
                yield reader.connection
            except apsw.Error as error:
                raise self._translated(error, reader.connection) from error

    def close(self) -> None:
        """Waits for blocks under way, folds the WAL file into the database and lets go of both."""
        with self._write_lock, self._readers_lock:
            if self._closed:
                return
            self._closed = True
        # One lock at a time: a reading block may be waiting for its turn to write.
        for reader in list(self._readers):
            with reader.lock:
                reader.connection.close()
        with self._write_lock:
            # A full disk or another process can prevent it. Nothing is lost: the WAL file stays,
            # and the next to open the database reads it.
            with contextlib.suppress(apsw.Error):
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._writer.close()

    def _reader(self) -> _Reader:
        reader: _Reader | None = getattr(self._mine, "reader", None)
        if reader is None:
            with self._readers_lock:
                self._check_open()
                reader = _Reader(self._open(apsw.SQLITE_OPEN_READONLY))
                self._readers.add(reader)
            self._mine.reader = reader
        return reader

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("The database is closed.")

    def _open(self, flags: int) -> apsw.Connection:
        try:
            connection = apsw.Connection(str(self.path), flags=flags)
        except apsw.Error as error:
            raise self._translated(error) from error
        try:
            self._set_up(connection)
        except apsw.Error as error:
            translated = self._translated(error, connection)
            connection.close()
            raise translated from error
        return connection

    def _set_up(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(BUSY_TIMEOUT)
        if connection.pragma("journal_mode", "wal") != "wal":
            raise apsw.CantOpenError("this folder's file system has no shared memory")
        connection.pragma("synchronous", "FULL")
        # On macOS fsync alone leaves the data in the drive's cache; no effect elsewhere.
        connection.pragma("fullfsync", "ON")
        connection.pragma("foreign_keys", "ON")

    def _translated(
        self, error: apsw.Error, connection: apsw.Connection | None = None
    ) -> StoreError:
        match error:
            case apsw.FullError():
                return StoreFull(_FULL)
            # SQLite calls a failed write "full", but not a failed fsync or a -shm that can't grow.
            case apsw.IOError() | apsw.CantOpenError() if (
                connection is not None and connection.system_errno in _NO_SPACE
            ):
                return StoreFull(_FULL)
            case apsw.BusyError() | apsw.LockedError():
                return StoreError("Another program is using the database. Close it and try again.")
            case apsw.CorruptError() | apsw.NotADBError():
                return StoreError(f"The database file {self.path} is damaged.")
            case _:
                return StoreError(f"The database {self.path} failed: {error}.")


_FULL = "The disk is full, and nothing was stored. Free some space and try again."


def _check_sqlite() -> None:
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(
            f"SQLite {version} can damage the database; {oldest} or newer is needed. Update apsw."
        )


def _create(path: Path) -> None:
    """SQLite gives its -wal and -shm files the permissions of the database file."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
