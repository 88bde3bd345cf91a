"""Reads what is intact in a damaged database into a new one."""

import contextlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, get_args

import apsw
import msgspec

from appliance.errors import StoreError
from appliance.store.copies.page_reader import PageReader, PageRecord, Value
from appliance.store.copies.salvaged_files import ID, SalvagedFiles
from appliance.store.database import Database
from appliance.store.disk.checksum import message_checksum
from appliance.store.migrations import MIGRATIONS, migrate
from appliance.store.records import FinalStatus, Role
from appliance.store.settings import Settings

_ROLES = frozenset(get_args(Role))
_STATUSES = frozenset({"streaming", *get_args(FinalStatus)})
_NO_IDS = frozenset({"version", "secure-delete", *(migration.name for migration in MIGRATIONS)})
"""What indexes have beside ids: the search index's settings, and steps of the schema."""
# As the tables have them; rows that were made before a column came last have fewer.
_SESSION = (
    *("number", "id", "title", "created_at", "updated_at", "leaf_id"),
    *("pinned", "settings", "deleted_at", "deleted_age", "expired", "idle_age", "idle_update"),
    *("client_id", "client_owner", "folder_id", "revision"),
)
_AGING = ("deleted_age", "expired", "idle_age", "idle_update")
"""Of the clock of the database that they were in."""
_MESSAGE = (
    *("number", "id", "session_id", "parent_id", "role", "status", "finish_reason", "model"),
    *("created_at", "prompt_tokens", "cached_tokens", "cached_from", "completion_tokens"),
    *("dropped_messages", "queued_seconds", "prefill_seconds", "decode_seconds", "seed"),
    *("error_code", "error_message", "content", "reasoning", "context_tokens", "n_ctx", "checksum"),
    "dropped_by",
    *("removed_at", "removed_age", "removed_with", "moved_from", "edited", "sent"),
)
_LEAST_SESSION, _LEAST_MESSAGE = 6, 21
_OF_PRESET = 6
_NAME = re.compile(r"[!-~]{1,200}")

Row = dict[str, Any]


class Salvaged(msgspec.Struct, frozen=True):
    """What was found and what was not."""

    path: str
    chats: int
    messages: int
    chats_without_title: int
    """Chats of which only messages were left."""
    damaged_messages: int
    """Messages that differ from what was stored; they are marked."""
    missing: int
    """Chats and messages that something else refers to, and that were not found; there may have
    been others."""
    damaged_pages: int
    settings: bool
    """The default settings of replies were found."""


def salvage(damaged: Path, target: Path) -> Salvaged:
    """Read what a database still has into a new file, which `restore` takes.

    Args:
        damaged: the database, which must not be in use; it is not changed.
        target: must not be there.

    Raises:
        StoreError: nothing was found, or files cannot be read or written.
    """
    if target.exists():
        raise StoreError(f"{target} is there already.")
    try:
        found = _Found(PageReader(damaged))
    except OSError as ex:
        raise StoreError(f"{damaged} cannot be read: {ex.strerror}.") from ex
    if not found.sessions and not found.messages:
        raise StoreError(f"{damaged} has no chats that could be found.")
    without_title = found.join()
    try:
        _write(target, found)
    except StoreError:
        _remove(target)
        raise
    return Salvaged(
        str(target),
        len(found.sessions),
        len(found.messages),
        without_title,
        sum(map(_is_damaged, found.messages.values())),
        len(found.missing()),
        found.damaged_pages,
        found.profile is not None,
    )


class _Found:
    """Rows by id."""

    def __init__(self, reader: PageReader) -> None:
        self.sessions: dict[str, Row] = {}
        self.messages: dict[str, Row] = {}
        self.files = SalvagedFiles()
        self.preferences: dict[str, str] = {}
        self.presets: dict[str, tuple[Value, ...]] = {}
        self.profile: str | None = None
        self._named: set[str] = set()
        """Ids that something refers to."""
        for record in reader.records():
            if record.rowid is None:
                self._take_entry(record.values)
            else:
                self._take_row(record)
        self.damaged_pages = reader.damaged_pages
        # All messages have a checksum, or, in an older schema, none: anything else is damage.
        if any(row["checksum"] is not None for row in self.messages.values()):
            for row in self.messages.values():
                row["checksum"] = -1 if row["checksum"] is None else row["checksum"]

    def _take_row(self, record: PageRecord) -> None:
        values = record.values
        if (
            len(values) >= _LEAST_MESSAGE
            and all(isinstance(values[at], str) for at in (1, 2, 4, 5, 20))
            and values[4] in _ROLES
            and values[5] in _STATUSES
            and isinstance(values[8], int)
        ):
            row = _row(_MESSAGE, record)
            known = self.messages.get(row["id"])
            if known is None or _is_better(row, known):
                self.messages[row["id"]] = row
        elif (
            _LEAST_SESSION <= len(values) < _LEAST_MESSAGE
            and values[0] is None
            and all(isinstance(values[at], str) for at in (1, 2))
            and all(isinstance(values[at], int) for at in (3, 4))
            and isinstance(values[5], str | None)
        ):
            row = _row(_SESSION, record)
            known = self.sessions.get(row["id"])
            if known is None or row["updated_at"] > known["updated_at"]:
                self.sessions[row["id"]] = row
        elif (
            len(values) == _OF_PRESET
            and all(isinstance(value, str) for value in values[1:4])
            and _is_settings(values[4])
        ):
            self.presets[str(values[1])] = values[1:]
        elif self.files.take(record):
            return
        elif len(values) == 2 and values[0] is None and _is_settings(values[1]):
            self.profile = str(values[1])

    def _take_entry(self, values: tuple[Value, ...]) -> None:
        """An index entry (id and row number), or one of the page's preferences (owner and JSON)."""
        if len(values) != 2 or not isinstance(values[0], str):
            return
        if isinstance(values[1], str) and values[1].startswith("{"):
            self.preferences[values[0]] = values[1]
        elif isinstance(values[1], int) and _NAME.fullmatch(values[0]):
            self._named.add(values[0])

    def missing(self) -> set[str]:
        """Ids that something refers to, of what was not found."""
        there = self.sessions.keys() | self.messages.keys()
        return {
            name
            for name in self._named - there - _NO_IDS
            if "." not in name and not name.startswith(ID)
        }

    def join(self) -> int:
        """Make sessions for messages that have none, and have every message follow one that is
        there; how many sessions were made."""
        self._named |= {row["parent_id"] for row in self.messages.values() if row["parent_id"]}
        self._named |= {row["leaf_id"] for row in self.sessions.values() if row["leaf_id"]}
        trees: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(self.messages.values(), key=lambda row: row["number"]):
            trees[row["session_id"]].append(row)
        made = 0
        for session_id, rows in trees.items():
            known: set[str | None] = {None}
            before = None
            for row in rows:
                if row["parent_id"] not in known:
                    row["parent_id"] = before
                before = row["id"]
                known.add(before)
            session = self.sessions.get(session_id)
            if session is None:
                made += 1
                session = self.sessions[session_id] = _session_of(session_id, rows)
            if session["leaf_id"] not in known:
                session["leaf_id"] = before
        for session_id, session in self.sessions.items():
            if session_id not in trees:
                session["leaf_id"] = None
        return made


def _row(columns: tuple[str, ...], record: PageRecord) -> Row:
    row: Row = dict.fromkeys(columns)
    row.update(zip(columns, record.values, strict=False))
    row["number"] = record.rowid
    return row


def _is_better(row: Row, known: Row) -> bool:
    """Two of one id: a page may be there twice, as it is and as it was."""
    return (not _is_damaged(row), row["status"] != "streaming", len(row["content"])) > (
        not _is_damaged(known),
        known["status"] != "streaming",
        len(known["content"]),
    )


def _is_damaged(row: Row) -> bool:
    expected = message_checksum(row["role"], row["content"], row["reasoning"] or "")
    return row["checksum"] is not None and row["checksum"] != expected


def _is_settings(value: Value) -> bool:
    if not isinstance(value, str):
        return False
    try:
        msgspec.json.decode(value, type=Settings)
    except (msgspec.MsgspecError, ValueError):
        return False
    return True


def _session_of(session_id: str, rows: list[Row]) -> Row:
    times = [row["created_at"] for row in rows]
    return dict.fromkeys(_SESSION) | {
        "id": session_id,
        "title": "",
        "created_at": min(times),
        "updated_at": max(times),
        "pinned": 0,
    }


def _write(target: Path, found: _Found) -> None:
    database = Database(target)
    try:
        migrate(database)
        with database.write() as connection:
            clients: set[tuple[Any, Any]] = set()
            for row in sorted(found.sessions.values(), key=lambda row: row["created_at"]):
                _check_client(row, clients)
                row["pinned"] = 1 if row["pinned"] == 1 else 0
                settings = row["settings"]
                row["settings"] = settings if _is_settings(settings) else None
                row["revision"] = row["revision"] if isinstance(row["revision"], int) else None
                _insert(
                    connection,
                    "sessions",
                    {name: value for name, value in row.items() if name not in _AGING}
                    | {"number": None},
                )
            for row in sorted(found.messages.values(), key=lambda row: row["number"]):
                _insert_message(connection, row)
            found.files.write(connection)
            if found.profile:
                connection.execute(
                    "INSERT INTO profile (number, settings) VALUES (1, ?)", (found.profile,)
                )
            connection.executemany(
                "INSERT INTO preferences (owner, said) VALUES (?, ?)",
                list(found.preferences.items()),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO presets (id, owner, name, settings, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                list(found.presets.values()),
            )
    finally:
        database.close()


def _check_client(row: Row, clients: set[tuple[Any, Any]]) -> None:
    """A client's id that is damaged, or there twice, is left out."""
    name, owner = row["client_id"], row["client_owner"] or ""
    if not (isinstance(name, str) and isinstance(owner, str)) or (name, owner) in clients:
        name, owner = None, ""
    clients.add((name, owner))
    row["client_id"], row["client_owner"] = name, owner


def _insert_message(connection: apsw.Connection, row: Row) -> None:
    row["reasoning"] = row["reasoning"] or ""
    row["removed_age"] = None  # of the clock of the database that it was in
    if row["status"] == "streaming":
        row["status"] = "interrupted"
    if row["checksum"] is None:
        row["checksum"] = message_checksum(row["role"], row["content"], row["reasoning"])
    try:
        _insert(connection, "messages", row)
    except (apsw.ConstraintError, apsw.MismatchError):
        # A damaged number or figure: what it says is more than what it took.
        keep = ("id", "session_id", "parent_id", "role", "status", "created_at", "content")
        _insert(
            connection,
            "messages",
            {name: row[name] for name in (*keep, "reasoning", "checksum")},
        )


def _insert(connection: apsw.Connection, table: str, row: Row) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})",  # noqa: S608 - our own names
        tuple(row.values()),
    )


def _remove(target: Path) -> None:
    for end in ("", "-wal", "-shm", "-commits"):
        with contextlib.suppress(OSError):
            target.with_name(target.name + end).unlink()
