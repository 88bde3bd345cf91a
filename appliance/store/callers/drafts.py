"""Drafts: what each caller has typed and not sent, so that a reload or another device has it."""

from typing import Any

from appliance.errors import Conflict
from appliance.store.database import Database
from appliance.store.text import check_text

LONGEST = 100_000
"""Characters of a draft."""
MOST = 200
"""Drafts of one owner."""


class DraftBook:
    """Everybody's drafts. Any thread may call. Raises StoreFull or StoreError where the database
    does."""

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def of(self, owner: str) -> dict[str, str]:
        """The drafts of a key's id, or of "" for callers without a key, by session; "": of the chat
        that is to be."""
        with self._database.read() as connection:
            rows: Any = connection.execute(
                "SELECT session_id, text FROM drafts WHERE owner = ?", (owner,)
            ).fetchall()
        return dict(rows)

    def keep(self, owner: str, session_id: str, text: str) -> None:
        """Another draft for a session; an empty one is none. Of a session that does not exist,
        none is kept.

        Raises:
            RequestError: the text can't be stored.
            Conflict: the owner has too many.
        """
        check_text(text, "text")
        if not session_id.isascii():
            return
        with self._database.write() as connection:
            key = (owner, session_id)
            if not text:
                connection.execute("DELETE FROM drafts WHERE owner = ? AND session_id = ?", key)
                return
            there = "SELECT 1 FROM sessions WHERE id = ?"
            if session_id and not connection.execute(there, (session_id,)).fetchone():
                return
            count: Any = connection.execute(
                "SELECT count(*) FROM drafts WHERE owner = ? AND session_id <> ?", key
            ).fetchone()
            if count[0] >= MOST:
                raise Conflict(f"There are {MOST} drafts, as many as there may be.", param="text")
            connection.execute(
                "INSERT INTO drafts (owner, session_id, text) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET text = excluded.text",
                (*key, text),
            )
