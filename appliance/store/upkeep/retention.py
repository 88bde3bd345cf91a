"""Retention: when chats are deleted, and when they are purged."""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from appliance.store.database import Database

# Deletions are timed from when they were first seen here: by a time that does not jump.
_SEEN = """
UPDATE sessions SET deleted_age = ? WHERE deleted_at IS NOT NULL AND deleted_age IS NULL
"""
_DUE = """
SELECT 1 FROM sessions
WHERE deleted_at IS NOT NULL AND (deleted_age IS NULL OR deleted_age <= ?) LIMIT 1
"""
_PURGE = "DELETE FROM sessions WHERE deleted_age <= ? AND deleted_at IS NOT NULL RETURNING id"

_REMOVED_SEEN = """
UPDATE messages SET removed_age = ? WHERE removed_at IS NOT NULL AND removed_age IS NULL
"""
_REMOVED_DUE = "removed_at IS NOT NULL AND removed_age <= ?"
# What once followed a message that goes for good, followed in truth the one before that.
_MOVE_UP = f"""
UPDATE messages SET moved_from = (
    SELECT nullif(ifnull(gone.moved_from, gone.parent_id), messages.parent_id)
    FROM messages AS gone WHERE gone.id = messages.moved_from
)
WHERE moved_from IN (SELECT id FROM messages WHERE {_REMOVED_DUE})
"""  # noqa: S608 - our own words

_IDLE = """
UPDATE sessions SET idle_age = ?, idle_update = updated_at WHERE idle_update IS NOT updated_at
"""
_EXPIRE = """
UPDATE sessions SET deleted_at = ?1, deleted_age = ?2, expired = 1
WHERE idle_age <= ?3 AND deleted_at IS NULL AND NOT pinned AND NOT EXISTS (
    SELECT 1 FROM messages WHERE session_id = sessions.id AND status = 'streaming'
)
RETURNING id
"""
_PURGE_NOW = """
DELETE FROM sessions
WHERE deleted_at IS NOT NULL AND (?1 IS NULL OR id IN (SELECT value FROM json_each(?1)))
RETURNING id
"""
_DELETED = """
SELECT id, title, deleted_at, expired FROM sessions WHERE deleted_at IS NOT NULL
ORDER BY deleted_at DESC, number DESC LIMIT ?
"""


class DeletedSession(msgspec.Struct, frozen=True):
    """A chat that can be restored."""

    id: str
    title: str
    deleted_at: int
    """Unix milliseconds."""
    expired: bool
    """Nobody deleted it: nothing happened in it for too long."""


class Retention:
    """Removes sessions for good, with all their messages, and messages.

    `age` is that of an `AgeClock`, in milliseconds. Any thread may call. Raises StoreFull or
    StoreError where the database does.
    """

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def purge(self, seconds: float, age: int) -> Sequence[str]:
        """What was deleted at least `seconds` ago. Returns the ids of what is gone.

        Nothing of it is left in the files: pages are overwritten, and the WAL is emptied.
        """

        until = age - int(seconds * 1000)
        with self._database.read() as connection:
            if not connection.execute(_DUE, (until,)).fetchall():
                return []

        def remove(connection: apsw.Connection) -> Sequence[str]:
            connection.execute(_SEEN, (age,))
            rows: Any = connection.execute(_PURGE, (until,)).fetchall()
            return [session_id for (session_id,) in rows]

        gone = self._database.write_freeing(remove)
        if gone:
            self._database.give_back_pages()
        return gone

    def purge_now(self, session_ids: Sequence[str] | None = None) -> Sequence[str]:
        """Those of these sessions that were deleted, or all that were, as `purge` does."""
        wanted = None if session_ids is None else msgspec.json.encode(session_ids).decode()

        def remove(connection: apsw.Connection) -> Sequence[str]:
            rows: Any = connection.execute(_PURGE_NOW, (wanted,)).fetchall()
            return [session_id for (session_id,) in rows]

        gone = self._database.write_freeing(remove)
        if gone:
            self._database.give_back_pages()
        return gone

    def deleted(self, limit: int) -> Sequence[DeletedSession]:
        """What can be restored, the last deleted first."""
        with self._database.read() as connection:
            rows: Any = connection.execute(_DELETED, (limit,)).fetchall()
        return [DeletedSession(id, title, at, bool(expired)) for id, title, at, expired in rows]

    def purge_messages(self, seconds: float, age: int) -> Sequence[str]:
        """Messages that were removed at least `seconds` ago. Returns the ids of their sessions.

        As with `purge`, nothing of them is left in the files.
        """
        until = age - int(seconds * 1000)
        with self._database.read() as connection:
            due = (
                "SELECT 1 FROM messages WHERE removed_at IS NOT NULL"
                " AND (removed_age IS NULL OR removed_age <= ?) LIMIT 1"
            )
            if not connection.execute(due, (until,)).fetchall():
                return []

        def remove(connection: apsw.Connection) -> Sequence[str]:
            connection.execute(_REMOVED_SEEN, (age,))
            connection.execute(_MOVE_UP, (until,))
            rows: Any = connection.execute(
                f"DELETE FROM messages WHERE {_REMOVED_DUE} RETURNING session_id",  # noqa: S608
                (until,),
            ).fetchall()
            return sorted({session_id for (session_id,) in rows})

        changed = self._database.write_freeing(remove)
        if changed:
            self._database.give_back_pages()
        return changed

    def expire(self, seconds: float, age: int, now: int) -> Sequence[str]:
        """Delete what nothing happened in for `seconds`, unless it is pinned or being answered; it
        can be restored like what a person deleted. Returns the ids.

        Args:
            seconds: of the time that chats age by.
            age: that time, now.
            now: Unix milliseconds.
        """
        with self._database.write() as connection:
            connection.execute(_IDLE, (age,))
            rows: Any = connection.execute(
                _EXPIRE, (now, age, age - int(seconds * 1000))
            ).fetchall()
        return [session_id for (session_id,) in rows]

    def expired(self) -> Sequence[str]:
        """Ids of what expired and can still be restored, 1,000 at most."""
        with self._database.read() as connection:
            rows: Any = connection.execute(
                "SELECT id FROM sessions WHERE expired AND deleted_at IS NOT NULL LIMIT 1000"
            ).fetchall()
        return [session_id for (session_id,) in rows]

    def ids(self) -> Sequence[str]:
        """The ids of all sessions, including those that can be restored."""
        with self._database.read() as connection:
            rows: Any = connection.execute("SELECT id FROM sessions").fetchall()
        return [session_id for (session_id,) in rows]
