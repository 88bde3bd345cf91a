"""Notices for users about problems with stored chats: kept for a week."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from appliance.errors import StoreError
from appliance.store.database import Database
from appliance.store.upkeep.expiry import ExpiryStatus

log = logging.getLogger(__name__)

DAYS = 7
"""Days, by the chats' age clock, for which a notice is shown."""
MOST = 50
_DAY = 24 * 3600 * 1000

NoticeCode = Literal["changes_lost", "clock_jumped"]


class StorageNotice(msgspec.Struct, frozen=True):
    """One of them."""

    code: NoticeCode
    at: int
    """Unix milliseconds."""
    message: str


class StorageStatus(msgspec.Struct, frozen=True):
    """The state of chat storage."""

    state: Literal["ok", "low", "full", "read_only", "failed"]
    """`low`: chats can be stored, but the disk is nearly full; `full`, `read_only`, `failed`: they
    can be read, and not stored."""
    detail: str
    """A sentence for a person; empty: all is well."""
    notices: Sequence[StorageNotice]
    """What went wrong within the last week, newest first."""
    expired: Sequence[str]
    """Ids of sessions that expired and can still be restored."""
    expiry: ExpiryStatus | None = None
    """Null: chats never expire."""


class Notices:
    """Any thread may call."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`database` is migrated; `clock` gives Unix milliseconds."""
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._unsaved: list[StorageNotice] = []

    def add(self, code: NoticeCode, message: str, age: int = 0) -> None:
        """Log it and keep it; in memory alone where nothing can be stored.

        Args:
            code: what it is.
            message: a sentence for a person.
            age: the time that chats age by, in milliseconds; 0: as in the database.
        """
        log.error("%s", message)
        notice = StorageNotice(code, self._clock(), message)
        try:
            with self._database.write() as connection:
                connection.execute(
                    "INSERT INTO notices (code, at, age, message)"
                    " VALUES (?1, ?2, ifnull(nullif(?3, 0), (SELECT age FROM storage)), ?4)",
                    (code, notice.at, age, message),
                )
                connection.execute(
                    "DELETE FROM notices WHERE age < (SELECT age FROM storage) - ?",
                    (DAYS * _DAY,),
                )
        except StoreError as ex:
            log.warning("that is not kept over a restart: %s", ex)
            with self._lock:
                self._unsaved = [*self._unsaved, notice][-MOST:]

    def recent(self) -> Sequence[StorageNotice]:
        """The newest ones, newest first."""
        with self._lock:
            unsaved = list(self._unsaved)
        with self._database.read() as connection:
            rows: Any = connection.execute(
                "SELECT code, at, message FROM notices"
                " WHERE age >= (SELECT age FROM storage) - ? ORDER BY number DESC LIMIT ?",
                (DAYS * _DAY, MOST),
            ).fetchall()
        return [*reversed(unsaved), *(StorageNotice(*row) for row in rows)]

    def status(
        self,
        expired: Callable[[], Sequence[str]],
        expiry: Callable[[], ExpiryStatus | None] = lambda: None,
    ) -> StorageStatus:
        """For people and programs that watch over the appliance; never fails.

        Args:
            expired: ids of what expired and can still be restored.
            expiry: whether chats expire.
        """
        state = self._database.state
        try:
            return StorageStatus(state.state, state.detail, self.recent(), expired(), expiry())
        except StoreError as ex:
            return StorageStatus("failed", ex.message, [], [])
