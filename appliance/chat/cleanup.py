"""Purges deleted chats once they can't be restored any more, deletes expired chats, and maintains
the database."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from appliance.errors import StoreError
from appliance.store.upkeep.age_clock import DAY, AgeClock, Jump
from appliance.store.upkeep.retention import Retention

log = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds from one run to the next."""


def once(work: Callable[[], object]) -> Callable[[int], None]:
    """A step that is taken once, as soon as it does not fail."""
    done = False

    def step(_age: int) -> None:
        nonlocal done
        if not done:
            work()
            done = True

    return step


class ChatCleanup:
    """A thread that removes them, at the start and then at intervals."""

    def __init__(
        self,
        retention: Retention,
        clock: AgeClock,
        on_purge: Callable[[str], None],
        *,
        undo_seconds: float,
        ttl_seconds: Callable[[], float] = lambda: 0.0,
        interval: float = INTERVAL,
        on_jump: Callable[[str], None] = log.warning,
        also: Sequence[Callable[[int], object]] = (),
    ) -> None:
        """
        Args:
            retention: what removes them.
            clock: the time that they age by; of this thread alone from now on.
            on_purge: gets the id of each session that is gone, or has messages that are.
            undo_seconds: see `[data] undo_seconds`.
            ttl_seconds: after which chats without activity expire; 0: never.
            interval: seconds from one run to the next.
            on_jump: gets a sentence when a time did not count in full.
            also: what else is done at each run, with the age in milliseconds; one that fails does
                not keep the others from it.
        """
        self._retention = retention
        self._clock = clock
        self._on_purge = on_purge
        self._ttl_seconds = ttl_seconds
        self._undo_seconds = undo_seconds
        self._interval = interval
        self._on_jump = on_jump
        self._steps = [self._purge, self._expire, *also]
        self._complaint = ""
        """The last logged error of failed steps."""
        self._closing = False
        self._wake_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chat cleanup", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._closing = True
        self._wake_up.set()
        self._thread.join()
        self._attempt(self._clock.save)

    def wake(self) -> None:
        """Something was deleted: from now on it ages, and perhaps it goes at once."""
        self._wake_up.set()

    def purge_now(self, session_ids: Sequence[str] | None = None) -> Sequence[str]:
        """Removes deleted chats for good, all of them if none are named. From any thread.

        Returns:
            The ids of those that are gone.

        Raises:
            StoreError, StoreFull: the database failed.
        """
        gone = self._retention.purge_now(session_ids)
        for session_id in gone:
            self._on_purge(session_id)
        return gone

    @property
    def undo_seconds(self) -> float:
        """How long a deleted chat can be restored."""
        return self._undo_seconds

    def _run(self) -> None:
        while not self._closing:
            age, jump = self._clock.look()
            if jump:
                self._on_jump(_describe(jump))
            for step in self._steps:
                self._attempt(lambda: step(age))  # noqa: B023 - called at once
            self._wake_up.wait(self._interval)
            if not self._closing:
                self._wake_up.clear()

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except StoreError as ex:
            level = logging.DEBUG if ex.message == self._complaint else logging.ERROR
            self._complaint = ex.message
            log.log(level, "chats could not be cleaned up, which is tried again: %s", ex)
        except Exception:
            log.exception("chats could not be cleaned up")

    def _purge(self, age: int) -> None:
        for session_id in self._retention.purge(self._undo_seconds, age):
            self._on_purge(session_id)
        for session_id in self._retention.purge_messages(self._undo_seconds, age):
            self._on_purge(session_id)

    def _expire(self, age: int) -> None:
        ttl_seconds = self._ttl_seconds()
        if not ttl_seconds:
            return
        now = time.time_ns() // 1_000_000
        expired = self._retention.expire(ttl_seconds, age, now)
        if expired:
            log.info(
                "%d chats expired; they can be restored for %d seconds",
                len(expired),
                self._undo_seconds,
            )


def _describe(jump: Jump) -> str:
    days, counted = jump.by / DAY, jump.counted / DAY
    return (
        f"By the clock, {days:,.0f} days have passed since the appliance last looked. For deleting "
        f"chats, {counted:.1f} days were counted."
    )
