"""The clock by which chats age until they are purged.

It advances while the appliance runs, whatever the system clock is set to; for the time that the
appliance was off it advances by the system clock's difference, and by a day at most. A
clock that jumps, or a machine that was off for a year, deletes nothing.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from appliance.errors import StoreError
from appliance.store.database import Database

log = logging.getLogger(__name__)

DAY = 24 * 3600 * 1000
"""Milliseconds; what a time without the appliance, or a jump of the clock, counts at most."""
SAVE_EVERY = 3600 * 1000
"""Milliseconds."""


def _wall() -> int:
    return time.time_ns() // 1_000_000


def _running() -> int:
    """Milliseconds since the machine's start, including sleep where the system reports it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return int((time.monotonic() if clock is None else time.clock_gettime(clock)) * 1000)


class Jump(msgspec.Struct, frozen=True):
    """A time that did not count in full. Milliseconds."""

    by: int
    """What the clock says that went by."""
    counted: int


class AgeClock:
    """For one thread."""

    def __init__(
        self,
        database: Database,
        wall: Callable[[], int] = _wall,
        running: Callable[[], int] = _running,
    ) -> None:
        """`database` is migrated; both clocks give milliseconds, `wall` since 1970."""
        self._database = database
        self._wall = wall
        self._running = running
        self._age = self._seen = 0
        """The age and the clock when it was last looked at; the latter never goes back."""
        self._last: tuple[int, int] | None = None
        """Both clocks, then."""
        self._saved_age = 0

    def look(self) -> tuple[int, Jump | None]:
        """The age now in milliseconds, and whether time was left out since the last look."""
        wall, running = self._wall(), self._running()
        jump = self._begin(wall) if self._last is None else self._go_on(wall, running)
        self._last = wall, running
        self._seen = max(self._seen, wall)
        if self._saved_age == 0 or self._age - self._saved_age >= SAVE_EVERY or jump:
            try:
                self.save()
            except StoreError as ex:
                log.warning("the time that chats age by is not kept: %s", ex)
        return self._age, jump

    def save(self) -> None:
        """Keep it over a restart.

        Raises:
            StoreError, StoreFull: the database failed.
        """
        with self._database.write() as connection:
            connection.execute("UPDATE storage SET age = ?, wall = ?", (self._age, self._seen))
        self._saved_age = self._age

    def _begin(self, wall: int) -> Jump | None:
        row: Any = None
        try:
            with self._database.read() as connection:
                row = connection.execute("SELECT age, wall FROM storage").fetchone()
        except StoreError as ex:
            log.error("the time that chats age by cannot be read, and begins anew: %s", ex)
        self._age, self._seen = row or (0, 0)
        # The age begins with 1: 0 is that of a database which was never looked at.
        self._age = self._age or 1
        gone = wall - self._seen if self._seen else 0
        self._age += max(0, min(gone, DAY))
        return Jump(gone, DAY) if gone > DAY else None

    def _go_on(self, wall: int, running: int) -> Jump | None:
        assert self._last
        by, counted = wall - self._last[0], running - self._last[1]
        self._age += counted
        return Jump(by, counted) if abs(by - counted) > DAY else None
