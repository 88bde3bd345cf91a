"""Removes for good what was deleted, once nobody can want it back, and chats that expired."""

import logging
import threading
from collections.abc import Callable

from appliance.errors import StoreError
from appliance.store.retention import Retention

log = logging.getLogger(__name__)

UNDO_SECONDS = 600.0
"""How long a deleted session can be restored."""
INTERVAL = 30.0
"""Seconds from one look to the next."""


class Janitor:
    """A thread that tidies up, at the start and then every now and again."""

    def __init__(
        self,
        retention: Retention,
        on_purge: Callable[[str], None],
        *,
        ttl_seconds: float = 0,
        undo_seconds: float = UNDO_SECONDS,
        interval: float = INTERVAL,
    ) -> None:
        """`on_purge` is told the id of each session that is gone.

        `ttl_seconds`: see `[limits] session_ttl_seconds`.
        """
        self._retention = retention
        self._on_purge = on_purge
        self._ttl_seconds = ttl_seconds
        self._undo_seconds = undo_seconds
        self._interval = interval
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._tidy()
            except StoreError as ex:
                log.error("chats could not be removed, which is tried again: %s", ex)
            except Exception:
                log.exception("chats could not be removed")
            if self._closing.wait(self._interval):
                return

    def _tidy(self) -> None:
        gone = list(self._retention.purge(self._undo_seconds))
        if self._ttl_seconds:
            expired = self._retention.expire(self._ttl_seconds)
            if expired:
                log.info("%d chats expired", len(expired))
            gone += expired
        for session_id in gone:
            self._on_purge(session_id)
