"""Removes for good what was deleted, once nobody can want it back, and chats that expired."""

import logging
import threading
from collections.abc import Callable

from appliance.errors import StoreError
from appliance.store.retention import Retention

log = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds from one run to the next."""


class ChatCleanup:
    """A thread that removes them, at the start and then at intervals."""

    def __init__(
        self,
        retention: Retention,
        on_purge: Callable[[str], None],
        *,
        undo_seconds: float,
        ttl_seconds: float = 0,
        interval: float = INTERVAL,
    ) -> None:
        """`on_purge` gets the id of each session that is gone.

        `undo_seconds` and `ttl_seconds`: see `[data] undo_seconds`, `[limits] session_ttl_seconds`.
        """
        self._retention = retention
        self._on_purge = on_purge
        self._ttl_seconds = ttl_seconds
        self._undo_seconds = undo_seconds
        self._interval = interval
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

    def wake(self) -> None:
        """Something was deleted, and perhaps for good."""
        if not self._undo_seconds:
            self._wake_up.set()

    def _run(self) -> None:
        while not self._closing:
            try:
                self._purge()
            except StoreError as ex:
                log.error("chats could not be removed, which is tried again: %s", ex)
            except Exception:
                log.exception("chats could not be removed")
            self._wake_up.wait(self._interval)
            if not self._closing:
                self._wake_up.clear()

    def _purge(self) -> None:
        gone = list(self._retention.purge(self._undo_seconds))
        if self._ttl_seconds:
            expired = self._retention.expire(self._ttl_seconds)
            if expired:
                log.info("%d chats expired", len(expired))
            gone += expired
        for session_id in gone:
            self._on_purge(session_id)
