"""Retention: how many chats there may be, and when they are deleted for good."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from appliance.errors import TooManySessions
from appliance.store.database import Database

_PURGE = "DELETE FROM sessions WHERE deleted_at <= ? RETURNING id"

_EXPIRE = """
DELETE FROM sessions
WHERE updated_at <= ? AND NOT pinned AND NOT EXISTS (
    SELECT 1 FROM messages WHERE session_id = sessions.id AND status = 'streaming'
)
RETURNING id
"""


class Retention:
    """Removes sessions for good, with all their messages.

    Any thread may call. Raises StoreFull or StoreError where the database does.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`database` is migrated; `clock` gives Unix milliseconds."""
        self._database = database
        self._clock = clock

    def purge(self, seconds: float) -> Sequence[str]:
        """What was deleted at least `seconds` ago. Returns the ids of what is gone."""
        return self._remove(_PURGE, seconds)

    def expire(self, seconds: float) -> Sequence[str]:
        """What nothing happened in for `seconds`, unless it is pinned or being answered. Returns
        the ids of what is gone."""
        return self._remove(_EXPIRE, seconds)

    def _remove(self, sql: str, seconds: float) -> Sequence[str]:
        until = self._clock() - int(seconds * 1000)
        with self._database.write() as connection:
            rows: Any = connection.execute(sql, (until,)).fetchall()
        return [session_id for (session_id,) in rows]


def check_room(connection: apsw.Connection, max_sessions: int) -> None:
    """Whether there may be one session more; deleted ones do not count. 0: any number.

    Raises:
        TooManySessions: there may not.
    """
    if not max_sessions:
        return
    count: Any = connection.execute(
        "SELECT count(*) FROM sessions WHERE deleted_at IS NULL"
    ).fetchone()
    if count[0] >= max_sessions:
        raise TooManySessions(
            f"There are {count[0]} chats, as many as limits.max_sessions allows. Delete some first."
        )
