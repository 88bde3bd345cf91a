"""A user's preferences for the page: stored here, because the window's browser has no storage."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from appliance.store.database import Database

Theme = Literal["system", "light", "dark"]
TextSize = Literal["small", "medium", "large", "huge"]
TextWidth = Literal["medium", "wide", "full"]

log = logging.getLogger(__name__)


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """Of one key, or of all callers without one; None: never set."""

    theme: Theme | None = None
    language: str | None = None
    """Its code; `system`: as the browser has it."""
    rail_hidden: bool | None = None
    text_size: TextSize | None = None
    """Of messages."""
    text_width: TextWidth | None = None
    """Of lines in messages; `full`: as wide as the page."""


class PreferenceBook:
    """Everybody's preferences. Any thread may call. Raises StoreFull or StoreError where the
    database does."""

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def of(self, owner: str) -> Preferences:
        """The preferences of a key's id, or of "" for callers without a key."""
        with self._database.read() as connection:
            return _read(connection, owner)

    def change(self, owner: str, changes: Mapping[str, Any]) -> Preferences:
        """Other values for the named ones; two that change different ones both get them."""
        with self._database.write() as connection:
            changed = msgspec.structs.replace(_read(connection, owner), **changes)
            connection.execute(
                "INSERT INTO preferences (owner, said) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET said = excluded.said",
                (owner, msgspec.json.encode(changed).decode()),
            )
        return changed


def _read(connection: Any, owner: str) -> Preferences:
    try:
        rows = connection.execute("SELECT said FROM preferences WHERE owner = ?", (owner,))
        row = rows.fetchone()
        return msgspec.json.decode(row[0], type=Preferences) if row else Preferences()
    except (msgspec.MsgspecError, ValueError, TypeError) as ex:
        log.error("preferences cannot be read, and are the usual ones: %s", ex)
        return Preferences()
