"""Export and import of whole chats."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import apsw
import msgspec

from appliance.errors import RequestError
from appliance.store.database import Database
from appliance.store.disk.checksum import message_checksum
from appliance.store.ids import TimeOrderedIds, addressable
from appliance.store.records import (
    Message,
    MessageUsage,
    Session,
    check_room,
    find_session,
    messages_of,
)
from appliance.store.settings import NOTHING, to_column
from appliance.store.text import check_text

_USAGE = MessageUsage.__struct_fields__
_COLUMNS = (
    *("id", "session_id", "parent_id", "role", "content", "reasoning", "status", "finish_reason"),
    *("model", "created_at", *_USAGE, "error_code", "error_message", "checksum", "edited"),
)
_INSERT = (
    f"INSERT INTO messages ({', '.join(_COLUMNS)})"  # noqa: S608 - our own names
    f" VALUES ({', '.join('?' * len(_COLUMNS))})"
)

Also = Callable[[apsw.Connection, dict[str | None, str | None]], object]
"""Stores what else a chat has; it gets what the ids of its messages are from now on."""


class ChatImportExport:
    """Any thread may call. Raises StoreFull or StoreError where the database does."""

    def __init__(
        self,
        database: Database,
        max_sessions: int = 0,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`database` is migrated; for `max_sessions` see `Sessions`."""
        self._database = database
        self._max_sessions = max_sessions
        self._new_id = TimeOrderedIds(clock)

    def read(self, session_id: str) -> tuple[Session, Sequence[Message]]:
        """A session and all its messages as they are at one moment.

        Raises:
            SessionNotFound: unknown id.
        """
        with self._database.read() as connection:
            connection.execute("BEGIN")
            try:
                return find_session(connection, session_id), messages_of(connection, session_id)
            finally:
                connection.execute("COMMIT")

    def add_once(
        self, session: Session, messages: Sequence[Message], also: Also = lambda *_: None
    ) -> Session | None:
        """As `add`; None, and nothing changes, if there is a session of that id, deleted or not, or
        one that clients call the same."""
        with self._database.read() as connection:
            same: Any = connection.execute(
                "SELECT 1 FROM sessions WHERE id = ?1 OR (client_id = ?2 AND client_owner = '')",
                (session.id, session.client_id),
            ).fetchone()
        return None if same else self.add(session, messages, also)

    def add(
        self, session: Session, messages: Sequence[Message], also: Also = lambda *_: None
    ) -> Session:
        """A session from elsewhere, with its messages, parents before children.

        Ids that are taken, or could not stand in an address, are made new, those of the messages
        all together; a client's id that is taken is left out. What was streaming is interrupted.
        `also` belongs to the same transaction.

        Raises:
            RequestError: it does not hang together; `param` names the field.
            TooManySessions: there are as many as there may be.
        """
        _check(session, messages)
        with self._database.write() as connection:
            check_room(connection, self._max_sessions)
            ids = self._message_ids(connection, messages)
            session_id = session.id
            if not addressable(session_id) or _taken(connection, "sessions", [session_id]):
                session_id = self._new_id()
            connection.execute(
                "INSERT INTO sessions"
                " (id, title, pinned, created_at, updated_at, leaf_id, settings, client_id,"
                " folder_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(session_id, session.title, session.pinned),
                    *(session.created_at, session.updated_at),
                    ids[session.leaf_id],
                    to_column(session.settings or NOTHING),
                    _free_client_id(connection, session.client_id),
                    session.folder_id,
                ),
            )
            connection.executemany(_INSERT, [_row(m, session_id, ids) for m in messages])
            also(connection, ids)
            return find_session(connection, session_id)

    def _message_ids(
        self, connection: apsw.Connection, messages: Sequence[Message]
    ) -> dict[str | None, str | None]:
        """What each id is from now on; None stays None."""
        ids: dict[str | None, str | None] = {None: None}
        ids.update((message.id, message.id) for message in messages)
        given = [message.id for message in messages]
        if not all(map(addressable, given)) or _taken(connection, "messages", given):
            ids.update((message.id, self._new_id()) for message in messages)
        return ids


def _taken(connection: apsw.Connection, table: str, ids: Sequence[str]) -> bool:
    among = f"SELECT 1 FROM {table} WHERE id IN (SELECT value FROM json_each(?)) LIMIT 1"  # noqa: S608
    found: Any = connection.execute(among, (msgspec.json.encode(ids).decode(),)).fetchone()
    return found is not None


def _free_client_id(connection: apsw.Connection, client_id: str | None) -> str | None:
    if client_id is None:
        return None
    taken: Any = connection.execute(
        "SELECT 1 FROM sessions WHERE client_id = ? AND client_owner = '' AND deleted_at IS NULL",
        (client_id,),
    ).fetchone()
    return None if taken else client_id


def _row(message: Message, session_id: str, ids: dict[str | None, str | None]) -> tuple[Any, ...]:
    usage, error = message.usage, message.error
    return (
        *(ids[message.id], session_id, ids[message.parent_id], message.role),
        *(message.content, message.reasoning),
        "interrupted" if message.status == "streaming" else message.status,
        *(message.finish_reason, message.model, message.created_at),
        *(msgspec.structs.astuple(usage) if usage else (None,) * len(_USAGE)),
        *((error.code, error.message) if error else (None, None)),
        message_checksum(message.role, message.content, message.reasoning),
        message.edited,
    )


def _check(session: Session, messages: Sequence[Message]) -> None:
    check_text(session.title, "session.title")
    check_text(session.client_id or "", "session.client_id")
    if session.settings:
        session.settings.check()
    known: set[str | None] = {None}
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if message.id in known:
            raise RequestError("Two messages have the same id.", param=f"{place}.id")
        if message.parent_id not in known:
            raise RequestError(
                "The parent must stand before this message.", param=f"{place}.parent_id"
            )
        known.add(message.id)
        check_text(message.content, f"{place}.content")
        check_text(message.reasoning, f"{place}.reasoning")
        check_text(message.model or "", f"{place}.model")
        if message.error:
            check_text(message.error.code, f"{place}.error.code")
            check_text(message.error.message, f"{place}.error.message")
    if session.leaf_id not in known:
        raise RequestError("The leaf is none of the messages.", param="session.leaf_id")
