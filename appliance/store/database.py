"""The one SQLite file and every connection to it.

Any thread may come in. Writers take turns on one connection, each in a transaction of its own;
a few other connections read and never wait for a writer (WAL). A commit has reached the disk when
`write()` returns (`synchronous=FULL`), and a process that dies at any moment leaves either all of a
transaction or nothing. What is deleted is overwritten (`secure_delete`).

Where nothing can be written – a full disk, a read-only folder – what is there is read all the same,
and writing works again as soon as it is possible.
"""

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import apsw
import msgspec

from appliance.errors import StoreError, StoreFull, StoreReadOnly
from appliance.store.disk.checksum import message_checksum
from appliance.store.disk.commit_record import CommitRecord, Commits, LostCommits, lost
from appliance.store.disk.read_only import open_unlocked, why_not_written
from appliance.store.disk.reserve import Reserve

log = logging.getLogger(__name__)

OLDEST_SQLITE = (3, 51, 3)
"""Older ones can damage a WAL file that two connections write and checkpoint at the same time."""

BUSY_TIMEOUT = 10_000
"""Milliseconds to wait for another process that is writing."""
CHECKPOINT_TIMEOUT = 200
"""Milliseconds to wait for readers before the WAL is emptied; it is tried again later."""
READERS = 4
"""Connections that read: two open files each, whatever the number of threads."""
REOPEN_SECONDS = 2.0
"""Seconds to wait for readers, before a database that was read-only is opened again."""
VACUUM_PAGES = 256
"""Free pages that one transaction gives back to the disk."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}

Result = TypeVar("Result")


class StorageState(msgspec.Struct, frozen=True):
    """Whether chats can be stored, and why not."""

    state: Literal["ok", "low", "full", "read_only", "failed"]
    """`low`: they can, and the room that is kept for deleting is used up."""
    detail: str = ""

    def as_error(self) -> StoreError:
        """What a write raises."""
        kind = {"full": StoreFull, "read_only": StoreReadOnly}.get(self.state, StoreError)
        return kind(self.detail)


OK = StorageState("ok")


class Database:
    """Connections to one file; `close()` when done.

    What its methods and context managers raise:
        StoreFull: the disk is full; nothing of the transaction was kept, and reading continues.
        StoreError: anything else that SQLite refuses, and every use after `close()`.
    """

    def __init__(
        self,
        path: Path,
        *,
        why_read_only: StoreError | None = None,
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        """Opens the file, and makes it if need be: it and new folders for their owner alone.

        A database that is there and cannot be written is opened for reading: see `state`.

        Args:
            why_read_only: a StoreFull or StoreReadOnly: it is a copy of a database that cannot be
                written, for reading alone.
            on_close: called at the end of `close`.
        """
        _check_sqlite()
        self._stays_read_only = why_read_only is not None
        self._on_close = on_close
        self.path = path
        self._closed = False
        self._write_lock = threading.RLock()
        self._readers_free = threading.Condition()
        self._idle: list[apsw.Connection] = []
        self._readers = 0
        self._mine = threading.local()
        self._reserve = Reserve(path.parent)
        self._low = False
        self._trouble: StorageState | None = None
        self._first: list[Callable[[apsw.Connection], object]] = []
        self._record = CommitRecord(path)
        self._beside = self._record.read()
        self._counts = False
        try:
            _create(path)
        except OSError as error:
            kind = StoreFull if error.errno in _NO_SPACE else StoreError
            raise kind(f"The database {path} cannot be created: {error.strerror}.") from error
        self._writer: apsw.Connection | None = None
        try:
            if why_read_only is not None:
                raise why_read_only
            self._writer = self._open_writer()
        except StoreError as error:
            self._read_only(error)

    # -- writing ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """One transaction, alone: committed at the end of the block, undone if that raises.

        Keep the connection to the block and the block short. Blocks do not nest.
        """
        with self._write_lock:
            self._check_open()
            connection = self._writer or self._open_again()
            committed, changed = None, False
            try:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    before = connection.total_changes()
                    for work in self._first:
                        work(connection)
                    yield connection
                    changed = connection.total_changes() != before
                    if changed:
                        committed = self._count(connection)
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            except apsw.Error as error:
                translated = self._translated(error, connection)
                translated.__cause__ = error
                self._note_trouble(translated)
                raise translated from error
            self._first.clear()
            if changed:  # else nothing was written, and nothing found out
                self._trouble = None
            if committed:
                self._record.write(committed)

    def write_freeing(self, work: Callable[[apsw.Connection], Result]) -> Result:
        """`work` in a transaction that makes room: on a full disk, with the room that is kept for
        that."""
        try:
            with self.write() as connection:
                return work(connection)
        except StoreFull:
            if not self._reserve.give_up():
                raise
            self._low = True
        with self.write() as connection:
            return work(connection)

    def write_first(self, work: Callable[[apsw.Connection], object]) -> bool:
        """`work` in a transaction, now or, if nothing can be written, before whatever is written
        next. Whether it was done."""
        self._first.append(work)
        try:
            with self.write():
                return True
        except StoreError as error:
            log.warning("this is done once chats can be stored again: %s", error)
            return False

    # -- reading ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """A connection for reading; every statement sees the last commit before it.

        Fetch all rows within the block: an unfinished statement keeps the WAL file growing. Blocks
        nest, on the same connection.
        """
        held: apsw.Connection | None = getattr(self._mine, "reader", None)
        connection = held or self._take()
        self._mine.reader = connection
        try:
            yield connection
        except apsw.Error as error:
            raise self._translated(error, connection) from error
        finally:
            if held is None:
                self._mine.reader = None
                self._give_back(connection)

    # -- the file --------------------------------------------------------------------------------

    @property
    def state(self) -> StorageState:
        """Whether chats can be stored."""
        if self._trouble:
            return self._trouble
        return StorageState("low", _LOW) if self._low else OK

    def tend(self) -> None:
        """From time to time: find out whether what could not be written can be by now, keep room
        for deleting, and empty the WAL."""
        if self._stays_read_only:
            return
        if self._trouble:
            with contextlib.suppress(StoreError), self.write() as connection:
                connection.execute("UPDATE storage SET committed_at = committed_at")
        self._low = not (self._reserve.fill() or self._trouble)
        self.checkpoint()

    def checkpoint(self) -> bool:
        """Have what stands in the WAL alone written into the file, and the WAL emptied: deleted
        text is gone from it, and a WAL that gets lost takes nothing along. Whether that worked; it
        does not while a reader is open."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        with self._write_lock:
            if self._closed or self._writer is None:
                return False
            try:
                if not wal.stat().st_size:
                    return True
                self._writer.set_busy_timeout(CHECKPOINT_TIMEOUT)
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except (apsw.Error, OSError):
                return False
            finally:
                self._writer.set_busy_timeout(BUSY_TIMEOUT)
            return True

    def give_back_pages(self) -> None:
        """Empty the WAL, and return the pages that became free to the disk, a few at a time; as far
        as there is room for that."""
        before = None
        with contextlib.suppress(StoreFull):
            while self.checkpoint():
                with self.read() as connection:
                    free = connection.pragma("freelist_count")
                if not free or free == before:
                    return
                before = free
                with self.write() as connection:
                    connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()

    def vacuum(self) -> None:
        """Rewrite the whole file, without deleted data; all others wait.

        Raises:
            StoreFull: there is no room for a second one and a third.
        """
        with self._write_lock:
            self._check_open()
            connection = self._writer or self._open_again()
            try:
                connection.pragma("auto_vacuum", 2)
                connection.execute("VACUUM").fetchall()
            except apsw.Error as error:
                raise self._translated(error, connection) from error

    def lost(self) -> LostCommits | None:
        """What was committed and is gone, found out when the database was opened; asked once."""
        beside, self._beside = self._beside, None
        with self.read() as connection:
            if beside is None or not connection.table_exists("main", "storage"):
                return None
            row: Any = connection.execute(
                "SELECT database, commits, committed_at FROM storage"
            ).fetchone()
        return lost(beside, Commits(*row)) if row else None

    def close(self) -> None:
        """Waits for blocks under way, folds the WAL file into the database and lets go of both."""
        with self._write_lock, self._readers_free:
            if self._closed:
                return
            self._closed = True
            self._readers_free.notify_all()
        # One lock at a time: a reading block may be waiting for its turn to write.
        self._close_readers(None)
        with self._write_lock:
            if self._writer is not None:
                # A full disk or another process can prevent it. Nothing is lost: the WAL file
                # stays, and the next to open the database reads it.
                with contextlib.suppress(apsw.Error):
                    self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                self._writer.close()
            self._record.close()
        self._on_close()

    # -- connections -----------------------------------------------------------------------------

    def _take(self) -> apsw.Connection:
        with self._readers_free:
            while True:
                self._check_open()
                if self._idle:
                    return self._idle.pop()
                if self._readers < READERS:
                    try:
                        connection = self._open_reader()
                    except StoreError:
                        # Perhaps there are no more open files to be had: one is enough.
                        if not self._readers:
                            raise
                    else:
                        self._readers += 1
                        return connection
                self._readers_free.wait()

    def _give_back(self, connection: apsw.Connection) -> None:
        if connection.in_transaction:
            with contextlib.suppress(apsw.Error):
                connection.execute("ROLLBACK")
        with self._readers_free:
            self._idle.append(connection)
            self._readers_free.notify()

    def _close_readers(self, seconds: float | None) -> bool:
        """Wait until no reader is in use, and close the readers; whether that succeeded."""
        with self._readers_free:
            if not self._readers_free.wait_for(lambda: len(self._idle) == self._readers, seconds):
                return False
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._readers = 0
            return True

    def _open_reader(self) -> apsw.Connection:
        if self._writer is not None:
            return self._open(apsw.SQLITE_OPEN_READONLY)
        try:
            connection = open_unlocked(self.path)
        except apsw.Error as error:
            raise self._translated(error) from error
        _prepare(connection)
        return connection

    def _open_writer(self) -> apsw.Connection:
        connection = self._open(apsw.SQLITE_OPEN_READWRITE)
        if connection.readonly("main"):
            connection.close()
            raise StoreReadOnly(_READ_ONLY_FILE.format(path=self.path))
        return connection

    def _read_only(self, error: StoreError) -> None:
        """Continue without writing.

        Raises:
            StoreError: that was not the reason, or reading fails as well.
        """
        try:
            if not isinstance(error, StoreFull | StoreReadOnly) or not self.path.stat().st_size:
                raise error
            connection = self._open_reader()
        except (OSError, StoreError):
            raise error from None
        self._idle.append(connection)
        self._readers = 1
        self._note_trouble(error)
        log.error("chats can be read, but not stored: %s", error)

    def _open_again(self) -> apsw.Connection:
        """The writer of a database that could not be written so far.

        Raises:
            StoreError: it still cannot.
        """
        assert self._trouble
        reading = self._stays_read_only or getattr(self._mine, "reader", None) is not None
        if reading or not self._close_readers(REOPEN_SECONDS):
            raise self._trouble.as_error()
        with self._readers_free:  # no reader is opened meanwhile
            try:
                self._writer = self._open_writer()
            except StoreError as error:
                self._note_trouble(error)
                raise
        return self._writer

    def _note_trouble(self, error: StoreError) -> None:
        if isinstance(error, StoreFull):
            self._trouble = StorageState("full", error.message)
        elif isinstance(error, StoreReadOnly):
            self._trouble = StorageState("read_only", error.message)
        elif isinstance(error.__cause__, apsw.IOError):
            self._trouble = StorageState("failed", error.message)

    def _count(self, connection: apsw.Connection) -> Commits | None:
        """One change more; None as long as the schema has no place for their number."""
        if not self._counts:
            self._counts = connection.table_exists("main", "storage")
            if not self._counts:
                return None
        now = time.time_ns() // 1_000_000
        counted: Any = connection.execute(
            "UPDATE storage SET commits = commits + 1, committed_at = ?"
            " RETURNING database, commits, committed_at",
            (now,),
        ).fetchall()
        return Commits(*counted[0]) if counted else None

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
        if connection.pragma("journal_mode") != "wal":
            connection.close()
            raise StoreError(
                f"The database {self.path} failed: this folder's file system has no shared memory."
            )
        return connection

    def _set_up(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(BUSY_TIMEOUT)
        _prepare(connection)
        if not connection.readonly("main") and not self.path.stat().st_size:
            # Pages that become free can be given back to the disk.
            connection.pragma("auto_vacuum", 2)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "FULL")
        # On macOS fsync alone leaves the data in the drive's cache; no effect elsewhere.
        connection.pragma("fullfsync", "ON")

    def _translated(
        self, error: apsw.Error, connection: apsw.Connection | None = None
    ) -> StoreError:
        match error:
            case apsw.FullError():
                return StoreFull(_FULL)
            case apsw.ReadOnlyError():
                return StoreReadOnly(_READ_ONLY_FILE.format(path=self.path))
            # SQLite calls a failed write "full", but not a failed fsync, or a file that can't be
            # made or grow.
            case apsw.IOError() | apsw.CantOpenError():
                reason = connection.system_errno if connection is not None else 0
                if reason not in _NO_SPACE | _READ_ONLY:
                    reason = why_not_written(self.path.parent)
                if reason in _NO_SPACE:
                    return StoreFull(_FULL)
                if reason in _READ_ONLY:
                    return StoreReadOnly(_READ_ONLY_FILE.format(path=self.path))
                return StoreError(f"The database {self.path} failed: {error}.")
            case apsw.BusyError() | apsw.LockedError():
                return StoreError("Another program is using the database. Close it and try again.")
            case apsw.CorruptError() | apsw.NotADBError():
                return StoreError(
                    f"The database file {self.path} is damaged. `appliance salvage` reads what it "
                    "still has."
                )
            case _:
                return StoreError(f"The database {self.path} failed: {error}.")


_FULL = "The disk is full, and nothing was stored. Free some space and try again."
_LOW = "The disk is nearly full. Free some space."
_READ_ONLY_FILE = "The database {path} can be read, but not written."


def _prepare(connection: apsw.Connection) -> None:
    """What holds for every connection."""
    connection.pragma("foreign_keys", "ON")
    connection.pragma("secure_delete", "ON")
    connection.create_scalar_function("message_checksum", message_checksum, 3, deterministic=True)


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
