"""Presets: settings under a name that a caller gave them, each only for its owner."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import apsw
import msgspec

from appliance.errors import Conflict, NotFound
from appliance.store.database import Database
from appliance.store.ids import TimeOrderedIds
from appliance.store.settings import NOTHING, Settings, from_column, to_column
from appliance.store.text import check_text

log = logging.getLogger(__name__)

MOST_PRESETS = 200
"""Of one owner."""


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Settings under a name."""

    id: str
    name: str
    settings: Settings
    created_at: int
    """Unix milliseconds."""


class PresetBook:
    """Everybody's presets. Any thread may call. Raises StoreFull or StoreError where the database
    does, and RequestError for text that cannot be stored."""

    def __init__(
        self, database: Database, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        """`database` is migrated; `clock` gives Unix milliseconds."""
        self._database = database
        self._clock = clock
        self._new_id = TimeOrderedIds(clock)

    def of(self, owner: str) -> list[Preset]:
        """Those of a key's id, or of "" for callers without a key, by name."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, name, settings, created_at FROM presets WHERE owner = ?", (owner,)
            )
            found = [_preset(row) for row in rows]
        return sorted(found, key=lambda preset: (preset.name.casefold(), preset.name))

    def create(self, owner: str, name: str, settings: Settings) -> Preset:
        """A new one.

        Raises:
            Conflict: the owner has one of that name, or as many as there may be.
        """
        check_text(name, "name")
        settings.check()
        made = Preset(id=self._new_id(), name=name, settings=settings, created_at=self._clock())
        with self._database.write() as connection:
            _check_free(connection, owner, name, None)
            count: Any = connection.execute(
                "SELECT count(*) FROM presets WHERE owner = ?", (owner,)
            ).fetchone()
            if count[0] >= MOST_PRESETS:
                raise Conflict(
                    f"There are {count[0]} presets, and no more are kept. Delete some first.",
                    param="name",
                )
            connection.execute(
                "INSERT INTO presets (id, owner, name, settings, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (made.id, owner, name, to_column(settings) or "{}", made.created_at),
            )
        return made

    def change(
        self, owner: str, preset_id: str, name: str | None, changes: Mapping[str, Any]
    ) -> Preset:
        """Another name, and other values for the named settings; two that change different ones at
        the same time both get what they want.

        Raises:
            NotFound: the owner has no such preset.
            Conflict: the owner has another one of that name.
        """
        with self._database.write() as connection:
            before = _find(connection, owner, preset_id)
            after = msgspec.structs.replace(
                before, name=name or before.name, settings=before.settings.changed(changes)
            )
            check_text(after.name, "name")
            after.settings.check()
            _check_free(connection, owner, after.name, preset_id)
            connection.execute(
                "UPDATE presets SET name = ?, settings = ? WHERE id = ?",
                (after.name, to_column(after.settings) or "{}", preset_id),
            )
        return after

    def delete(self, owner: str, preset_id: str) -> None:
        """Raises NotFound: the owner has no such preset."""
        with self._database.write() as connection:
            _find(connection, owner, preset_id)
            connection.execute("DELETE FROM presets WHERE id = ?", (preset_id,))


def _find(connection: apsw.Connection, owner: str, preset_id: str) -> Preset:
    row: Any = None
    if preset_id.isascii():
        row = connection.execute(
            "SELECT id, name, settings, created_at FROM presets WHERE id = ? AND owner = ?",
            (preset_id, owner),
        ).fetchone()
    if row is None:
        raise NotFound(f"There is no preset {preset_id!a}.", param="preset_id")
    return _preset(row)


def _check_free(connection: apsw.Connection, owner: str, name: str, own: str | None) -> None:
    taken = connection.execute(
        "SELECT 1 FROM presets WHERE owner = ? AND name = ? AND id IS NOT ?", (owner, name, own)
    )
    if taken.fetchone():
        raise Conflict(f"There is a preset {name!r} already.", param="name")


def _preset(row: Any) -> Preset:
    id, name, stored, created_at = row
    try:
        settings = from_column(stored) or NOTHING
    except (msgspec.MsgspecError, ValueError, TypeError) as ex:
        log.error("the preset %r cannot be read, and sets nothing: %s", name, ex)
        settings = NOTHING
    return Preset(id=id, name=name, settings=settings, created_at=created_at)
