"""Folders for chats: each of one owner alone, with settings for new chats in it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from appliance.errors import Conflict, NotFound
from appliance.store.database import Database
from appliance.store.disk.damaged_rows import all_rows, as_text
from appliance.store.ids import TimeOrderedIds
from appliance.store.settings import NOTHING, Settings, from_column, to_column
from appliance.store.text import check_text

MOST = 500
"""Folders of one owner."""

_FOLDERS = "SELECT {columns} FROM folders WHERE owner = ?"
_COLUMNS = ("id", "name", "settings")


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """One of them."""

    id: str
    name: str
    settings: Settings | None
    """What a new chat in it begins with; None: nothing of its own."""


class FolderBook:
    """Everybody's folders. Any thread may call. An owner is a key's id, or "" for callers without
    a key, and finds no folder of another.

    Raises StoreFull or StoreError where the database does, and RequestError for text that cannot
    be stored.
    """

    def __init__(
        self, database: Database, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        """`database` is migrated; `clock` gives Unix milliseconds."""
        self._database = database
        self._new_id = TimeOrderedIds(clock)

    def list(self, owner: str) -> Sequence[Folder]:
        """The owner's, by name."""
        with self._database.read() as connection:
            rows = all_rows(connection, _FOLDERS, _COLUMNS, (owner,))
        return sorted(map(_to_folder, rows), key=lambda folder: (folder.name.casefold(), folder.id))

    def get(self, owner: str, folder_id: str) -> Folder:
        """Raises NotFound."""
        with self._database.read() as connection:
            return _find(connection, owner, folder_id)

    def create(self, owner: str, name: str, settings: Settings = NOTHING) -> Folder:
        """Raises Conflict: the owner has too many."""
        check_text(name, "name")
        settings.check()
        with self._database.write() as connection:
            count: Any = connection.execute(
                "SELECT count(*) FROM folders WHERE owner = ?", (owner,)
            ).fetchone()
            if count[0] >= MOST:
                raise Conflict(f"There are {MOST} folders, as many as there may be.")
            folder_id = self._new_id()
            connection.execute(
                "INSERT INTO folders (id, owner, name, settings) VALUES (?, ?, ?, ?)",
                (folder_id, owner, name, to_column(settings)),
            )
            return _find(connection, owner, folder_id)

    def change(
        self,
        owner: str,
        folder_id: str,
        name: str | None = None,
        settings: Mapping[str, Any] | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> Folder:
        """Another name, or other values for the settings that are named; None takes all back.

        Raises:
            NotFound: the owner has no such folder.
        """
        check_text(name or "", "name")
        with self._database.write() as connection:
            folder = _find(connection, owner, folder_id)
            own = folder.settings or NOTHING
            if settings is not msgspec.UNSET:
                own = own.changed(settings) if settings else NOTHING
            own.check()
            connection.execute(
                "UPDATE folders SET name = ?, settings = ? WHERE id = ?",
                (name or folder.name, to_column(own), folder_id),
            )
            return _find(connection, owner, folder_id)

    def chats(self, owner: str, folder_id: str) -> Sequence[str]:
        """Ids of the chats in it.

        Raises:
            NotFound: the owner has no such folder.
        """
        with self._database.read() as connection:
            _find(connection, owner, folder_id)
            rows: Any = connection.execute(
                "SELECT id FROM sessions WHERE folder_id = ? AND deleted_at IS NULL", (folder_id,)
            ).fetchall()
        return [session_id for (session_id,) in rows]

    def remove(self, owner: str, folder_id: str) -> None:
        """Its chats stay, in no folder.

        Raises:
            NotFound: the owner has no such folder.
        """

        def go(connection: apsw.Connection) -> None:
            _find(connection, owner, folder_id)
            connection.execute("DELETE FROM folders WHERE id = ?", (folder_id,))

        self._database.write_freeing(go)


def _find(connection: apsw.Connection, owner: str, folder_id: str) -> Folder:
    rows = []
    if folder_id.isascii():
        sql = f"{_FOLDERS} AND id = ?"
        rows = all_rows(connection, sql, _COLUMNS, (owner, folder_id))
    if not rows:
        raise NotFound(f"There is no folder {folder_id!a}.", param="folder_id")
    return _to_folder(rows[0])


def _to_folder(row: Any) -> Folder:
    try:
        settings = from_column(row[2])
    except (msgspec.MsgspecError, ValueError, TypeError):
        settings = None
    bad: list[str] = []
    return Folder(id=as_text(row[0], bad) or "", name=as_text(row[1], bad) or "", settings=settings)
