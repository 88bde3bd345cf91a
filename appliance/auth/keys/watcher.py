"""The key records in memory, as current as the vault's.

Reading a vault can take seconds and can ask a person for a password, so it is read only when its
stamp has changed. A thread, between `start` and `close`, looks at the stamp four times a second:
listeners are called within one second of the end of a key, also when another process ended it.
"""

import logging
import threading
import time
from collections.abc import Callable

from msgspec.structs import replace

from appliance.auth.keys import records
from appliance.auth.keys.records import Record, Row
from appliance.auth.vault.vault import Vault
from appliance.errors import Conflict, VaultUnavailable
from appliance.system.periodic_thread import PeriodicThread

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
RETRY_SECONDS = 15.0
"""Between two looks at a vault that could not be read and has not changed since."""
REREAD_SECONDS = 60.0
"""Between two looks at one that says it is the same: other programs can change a keyring too."""


class WatchedRecord:
    """Who may come in, from the vault and from the configuration. Safe from any thread."""

    def __init__(self, vault: Vault, clock: Callable[[], int]) -> None:
        """Reads nothing yet. `clock` gives Unix milliseconds."""
        self._vault = vault
        self._clock = clock
        self._lock = threading.Lock()
        """Held while the vault is read or changed."""
        self._plain: tuple[Row, ...] = ()
        self._record: Record | None = None
        self._rows: tuple[Row, ...] = ()
        self._stamp: object = None
        """The vault's, before it was last read or could not be."""
        self._trouble: str | None = None
        """Why it could not be."""
        self._retry_at = 0.0
        self._alive: dict[str, Row] = {}
        """The usable keys when last looked."""
        self._over: set[str] = set()
        """Ids of keys that were seen to have expired, whatever the clock says by now."""
        self._disable_at = 0.0
        self._listeners: list[Callable[[str], None]] = []
        self._thread = PeriodicThread("keys", self._watch, seconds=POLL_SECONDS)
        self._reread_at = 0.0
        self._reported: str | None = None
        """The trouble that was logged last; None: there is none."""

    def start(self, *, must_read: bool) -> None:
        """Reads the vault and begins to watch it; see `Keys.start`."""
        try:
            self.rows()
        except VaultUnavailable as error:
            if must_read:
                raise
            log.warning("keys are refused until the vault can be read: %s", error)
        self._reread_at = time.monotonic() + REREAD_SECONDS
        self._thread.start()

    def close(self) -> None:
        """Stops watching; may be called again."""
        # A vault that hangs keeps the thread for a while, which must not keep the process.
        self._thread.close(timeout=1.0)

    def listen(self, callback: Callable[[str], None]) -> None:
        """Has `callback` called with the id of every key that ends; see `Keys.on_revoke`."""
        self._listeners.append(callback)

    def rows(self) -> tuple[Row, ...]:
        """All keys that were not revoked, as of now.

        Raises:
            VaultUnavailable: they are not known, or have changed and could not be read since.
        """
        self._refresh()
        return self._rows

    def known(self) -> tuple[tuple[Row, ...], str | None]:
        """The keys that are known, and what keeps the others from being known.

        A vault that was never read leaves the keys of the configuration. One that has changed and
        could not be read since leaves none: any of them may have been revoked.
        """
        try:
            return self.rows(), None
        except VaultUnavailable as error:
            return self._plain if self._record is None else (), error.message

    def usable(self, row: Row, now: int) -> bool:
        """Whether a key may be used: it is enabled, has not expired, and never was seen to have."""
        return row.key.usable(now) and row.key.id not in self._over

    def plain(self) -> tuple[Row, ...]:
        """The keys of the configuration, also those that the vault overrules."""
        return self._plain

    def add_plain(self, row: Row) -> None:
        """A key of the configuration."""
        with self._lock:
            self._plain = (*self._plain, row)
            self._merge()

    def change(self, edit: Callable[[Record], Record]) -> None:
        """Replaces the vault's record by what `edit` makes of it, while nothing else changes it.

        Listeners are called before this returns. `edit` may run on another thread; what it
        raises comes out here.

        Raises:
            VaultUnavailable, Conflict: as the vault's `change`.
        """
        edited = Record()

        def make(value: bytes | None) -> bytes:
            nonlocal edited
            edited = edit(records.decode(value))
            return records.encode(edited)

        with self._lock:
            self._vault.change(records.RECORD, make)
            # The stamp stays that of before: others may have changed more by now.
            self._record = edited
            self._merge()
            self._trouble = None
            ended = self._ended()
        self._notify(ended)

    # -- inside ------------------------------------------------------------------------------------

    def _refresh(self, *, anyway: bool = False) -> None:
        if not anyway and self._is_fresh(self._vault.stamp()):
            return
        with self._lock:
            stamp = self._vault.stamp()
            if not anyway and self._is_fresh(stamp):
                return
            if self._trouble and stamp == self._stamp and time.monotonic() < self._retry_at:
                raise VaultUnavailable(self._trouble)
            self._read(stamp)
            ended = self._ended()
        self._notify(ended)

    def _is_fresh(self, stamp: object) -> bool:
        return self._record is not None and not self._trouble and stamp == self._stamp

    def _read(self, stamp: object) -> None:
        try:
            record = records.decode(self._vault.get(records.RECORD))
        except VaultUnavailable as error:
            if self._is_fresh(stamp):
                # A keyring that was locked over lunch: nothing says that a key was revoked.
                log.warning("the vault cannot be read; its keys count as last read: %s", error)
                return
            self._stamp, self._trouble = stamp, error.message
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise
        self._record = record
        self._merge()
        # Last, since `_is_fresh` looks without the lock.
        self._stamp = stamp
        self._trouble = None

    def _merge(self) -> None:
        if self._record is None:
            return
        overruled = {*self._record.revoked, *(row.digest for row in self._record.rows)}
        plain = tuple(row for row in self._plain if row.digest not in overruled)
        self._rows = self._record.rows + plain

    def _ended(self) -> list[str]:
        """Ids of the keys that were usable at the last look, and aren't as they were."""
        now = self._clock()
        self._over |= {row.key.id for row in self._rows if row.key.expired(now)}
        alive = {row.key.id: row for row in self._rows if self.usable(row, now)}
        ended = [
            key_id
            for key_id, row in self._alive.items()
            if key_id not in alive or not alive[key_id].is_as_good_as(row)
        ]
        self._alive = alive
        return ended

    def _notify(self, ended: list[str]) -> None:
        for key_id in ended:
            for callback in tuple(self._listeners):
                try:
                    callback(key_id)
                except Exception:
                    # The others must be called all the same.
                    log.exception("a listener failed when the key %s ended", key_id)

    def _watch(self) -> None:
        anyway = time.monotonic() >= self._reread_at
        if anyway:
            self._reread_at = time.monotonic() + REREAD_SECONDS
        try:
            self._refresh(anyway=anyway)
            self._reported = None
        except VaultUnavailable as error:
            if error.message != self._reported:
                log.error("keys are refused until the vault can be read: %s", error)
            self._reported = error.message
        with self._lock:
            ended = self._ended()
        self._notify(ended)
        self._disable_what_is_over()

    def _disable_what_is_over(self) -> None:
        """In the vault too: another process may begin with a clock that was set back."""
        rows = self._record.rows if self._record else ()
        if time.monotonic() < self._disable_at or not any(self._is_to_end(row) for row in rows):
            return
        self._disable_at = time.monotonic() + RETRY_SECONDS
        try:
            self.change(
                lambda record: replace(
                    record,
                    rows=tuple(
                        replace(row, key=replace(row.key, enabled=False))
                        if self._is_to_end(row)
                        else row
                        for row in record.rows
                    ),
                )
            )
        except (VaultUnavailable, Conflict) as error:
            log.warning("an expired key cannot be disabled in the vault: %s", error)

    def _is_to_end(self, row: Row) -> bool:
        return row.key.enabled and row.key.id in self._over
