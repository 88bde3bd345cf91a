"""Whether chats may expire: only once somebody has agreed to it.

A setting that came with an upgrade, or with another program's configuration, deletes nothing.
"""

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from appliance.errors import StoreError
from appliance.store.database import Database

log = logging.getLogger(__name__)


class ExpiryStatus(msgspec.Struct, frozen=True):
    """Chats that nothing happens in expire."""

    ttl_seconds: float
    """After this time, as the configuration says."""
    confirmed: bool
    """Somebody has agreed; until then, none does."""


class Expiry:
    """Any thread may call."""

    def __init__(self, database: Database, ttl_seconds: float) -> None:
        """
        Args:
            database: migrated.
            ttl_seconds: see `[limits] session_ttl_seconds`.
        """
        self._database = database
        self._ttl_seconds = ttl_seconds
        self.on_confirm: Callable[[], object] = lambda: None
        """Called when somebody has agreed."""
        if ttl_seconds and not self.confirmed:
            log.warning(
                "limits.session_ttl_seconds is %g: chats without activity for that long would be"
                " deleted. None is until somebody confirms it: on the page, or by POST /api/expiry",
                ttl_seconds,
            )

    @property
    def ttl_seconds(self) -> float:
        """After which chats expire; 0: never."""
        return self._ttl_seconds if self._ttl_seconds and self.confirmed else 0.0

    @property
    def confirmed(self) -> bool:
        """Whether somebody agreed to this time, or to a shorter one."""
        try:
            with self._database.read() as connection:
                row: Any = connection.execute("SELECT confirmed_ttl FROM storage").fetchone()
        except StoreError:
            return False
        return bool(row) and isinstance(row[0], float) and row[0] <= self._ttl_seconds

    def confirm(self) -> None:
        """Somebody agrees.

        Raises:
            StoreError, StoreFull: it cannot be stored.
        """
        with self._database.write() as connection:
            connection.execute("UPDATE storage SET confirmed_ttl = ?", (self._ttl_seconds,))
        log.info("chats expire after %g seconds: confirmed", self._ttl_seconds)
        self.on_confirm()

    def status(self) -> ExpiryStatus | None:
        """None: chats never expire."""
        if not self._ttl_seconds:
            return None
        return ExpiryStatus(self._ttl_seconds, self.confirmed)
