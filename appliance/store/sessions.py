"""Stored chats: sessions, each a tree of messages.

Any thread may call. What a method that writes has returned from is on the disk.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import apsw
import msgspec

from appliance.errors import Conflict, MessageNotFound, ReplyInProgress, RequestError
from appliance.store.database import Database
from appliance.store.ids import TimeOrderedIds
from appliance.store.records import (
    FinalStatus,
    FinishReason,
    Message,
    MessageError,
    Role,
    Session,
    Status,
    Usage,
    all_sessions,
    branch_to,
    find_message,
    find_session,
    messages_of,
)
from appliance.store.text import check_text, encodable, title_from

__all__ = [
    "USE_LEAF",
    "FinalStatus",
    "FinishReason",
    "Message",
    "MessageError",
    "Role",
    "Session",
    "Sessions",
    "Status",
    "Usage",
]

USE_LEAF: Final = msgspec.UNSET
"""As a parent: the session's leaf. A request's absent `parent_id` decodes to the same."""


def _unix_milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Sessions:
    """Every method raises StoreFull or StoreError where the database does, and then wrote nothing.

    Text with half a surrogate pair, which UTF-8 cannot hold, is a RequestError naming its field.
    """

    def __init__(self, database: Database, clock: Callable[[], int] = _unix_milliseconds) -> None:
        """`database` is migrated; `clock` gives Unix milliseconds."""
        self._database = database
        self._clock = clock
        self._new_id = TimeOrderedIds(clock)

    def list(self) -> Sequence[Session]:
        """Every session, newest updated first."""
        with self._database.read() as connection:
            return all_sessions(connection)

    def get(self, session_id: str) -> Session:
        """Raises SessionNotFound."""
        with self._database.read() as connection:
            return find_session(connection, session_id)

    def create(self, title: str = "", session_id: str | None = None) -> Session:
        """A new, empty session; without an id it is given one.

        Raises:
            RequestError: the id is not ASCII.
            Conflict: there is a session of that id.
        """
        check_text(title, "title")
        session_id = session_id or self._new_id()
        if not session_id.isascii():
            raise RequestError("The id of a session is ASCII text.", param="id")
        now = self._clock()
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO sessions (id, title, created_at, updated_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (session_id, title, now, now),
            )
            if connection.changes() == 0:
                raise Conflict(f"There is a session {session_id} already.", param="id")
        return Session(session_id, title, now, now, None, None)

    def rename(self, session_id: str, title: str) -> Session:
        """Gives another title; the session keeps its place in the list.

        Raises:
            SessionNotFound: unknown id.
        """
        check_text(title, "title")
        with self._database.write() as connection:
            find_session(connection, session_id)
            connection.execute("UPDATE sessions SET title = ? WHERE id = ?", (title, session_id))
            return find_session(connection, session_id)

    def move_leaf(self, session_id: str, leaf_id: str | None) -> None:
        """Has the chat go on from another message; None: from a new beginning.

        Raises:
            SessionNotFound: unknown id.
            MessageNotFound: that session has no such message.
        """
        with self._database.write() as connection:
            find_session(connection, session_id)
            if leaf_id is not None:
                find_message(connection, leaf_id, session_id, param="leaf_id")
            connection.execute(
                "UPDATE sessions SET leaf_id = ? WHERE id = ?", (leaf_id, session_id)
            )

    def delete(self, session_id: str) -> None:
        """Deletes the session and all its messages.

        Raises:
            SessionNotFound: unknown id.
        """
        with self._database.write() as connection:
            find_session(connection, session_id)
            connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))

    def messages(self, session_id: str) -> Sequence[Message]:
        """The whole tree in the order of making, so parents before their children.

        Raises:
            SessionNotFound: unknown id.
        """
        with self._database.read() as connection:
            found = messages_of(connection, session_id)
            if not found:
                find_session(connection, session_id)
            return found

    def message(self, message_id: str) -> Message:
        """Raises MessageNotFound."""
        with self._database.read() as connection:
            return find_message(connection, message_id)

    def path(self, session_id: str, leaf_id: str) -> Sequence[Message]:
        """The branch that ends in `leaf_id`, from its root on.

        Raises:
            SessionNotFound: unknown id.
            MessageNotFound: that session has no such message.
        """
        with self._database.read() as connection:
            found = branch_to(connection, session_id, leaf_id)
            if not found:
                find_session(connection, session_id)
                raise MessageNotFound(f"There is no message {leaf_id!a} in this session.")
            return found

    def add_message(
        self,
        session_id: str,
        parent_id: str | None,
        role: Role,
        content: str,
        status: Status,
        model: str | None = None,
    ) -> Message:
        """Adds a message, which becomes the leaf; without a parent it starts a tree of its own.

        Raises:
            SessionNotFound: unknown id.
            MessageNotFound: that session has no such parent.
            ReplyInProgress: it would be the second to be streaming.
        """
        with self._database.write() as connection:
            session = find_session(connection, session_id)
            return self._add(connection, session, parent_id, role, content, status, model)

    def begin_turn(
        self,
        session_id: str,
        content: str,
        parent_id: str | msgspec.UnsetType | None = USE_LEAF,
        model: str | None = None,
    ) -> tuple[Message, Message]:
        """The user's message and the empty, streaming reply to it: both are stored, or neither.

        A session without a title gets one from `content`.

        Raises:
            SessionNotFound: unknown id.
            MessageNotFound: that session has no such parent.
            ReplyInProgress: a reply of that session is still being written.
        """
        with self._database.write() as connection:
            session = find_session(connection, session_id)
            parent = session.leaf_id if parent_id is USE_LEAF else parent_id
            user = self._add(connection, session, parent, "user", content, "complete", None)
            reply = self._add(connection, session, user.id, "assistant", "", "streaming", model)
            if not session.title:
                connection.execute(
                    "UPDATE sessions SET title = ? WHERE id = ?", (title_from(content), session_id)
                )
        return user, reply

    def grow_replies(self, updates: Mapping[str, str]) -> None:
        """Stores the whole text so far of live replies, by message id, in one transaction.

        Ids of replies that have ended or were deleted meanwhile are passed over.
        """
        for content in updates.values():
            check_text(content, "content")
        if not updates:
            return
        with self._database.write() as connection:
            connection.executemany(
                "UPDATE messages SET content = ? WHERE id = ? AND status = 'streaming'",
                [(content, message_id) for message_id, content in updates.items()],
            )

    def finish_reply(
        self,
        message_id: str,
        content: str,
        status: FinalStatus,
        finish_reason: FinishReason | None = None,
        usage: Usage | None = None,
        error: MessageError | None = None,
    ) -> Message:
        """Ends a live reply and gives it as it is stored.

        The first ending stays: a reply that has ended already is given as it is.

        Raises:
            MessageNotFound: unknown id, such as that of a reply whose session was deleted.
        """
        check_text(content, "content")
        tokens = msgspec.structs.astuple(usage) if usage else (None,) * len(_USAGE)
        # Errors quote file names, which can be any bytes; the reply must end all the same.
        failure = (error.code, encodable(error.message)) if error else (None, None)
        with self._database.write() as connection:
            message = find_message(connection, message_id)
            if message.status != "streaming":
                return message
            connection.execute(
                _FINISH, (content, status, finish_reason, *tokens, *failure, message_id)
            )
            connection.execute(
                "UPDATE sessions SET updated_at = ? WHERE id = ?",
                (self._clock(), message.session_id),
            )
            return find_message(connection, message_id)

    def interrupt_streaming(self) -> int:
        """At start-up: what was being written when the process died becomes `interrupted`.

        Returns:
            How many replies that were; each keeps its text so far.
        """
        with self._database.write() as connection:
            connection.execute(
                "UPDATE messages SET status = 'interrupted' WHERE status = 'streaming'"
            )
            return connection.changes()

    def _add(
        self,
        connection: apsw.Connection,
        session: Session,
        parent_id: str | None,
        role: Role,
        content: str,
        status: Status,
        model: str | None,
    ) -> Message:
        check_text(content, "content")
        check_text(model or "", "model")
        if parent_id is not None:
            find_message(connection, parent_id, session.id, param="parent_id")
        if status == "streaming" and session.live_message_id is not None:
            raise ReplyInProgress("This session is still being answered.")
        message_id, now = self._new_id(), self._clock()
        connection.execute(
            "INSERT INTO messages"
            " (id, session_id, parent_id, role, content, status, model, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (message_id, session.id, parent_id, role, content, status, model, now),
        )
        connection.execute(
            "UPDATE sessions SET leaf_id = ?, updated_at = ? WHERE id = ?",
            (message_id, now, session.id),
        )
        return find_message(connection, message_id)


_USAGE = Usage.__struct_fields__

_FINISH = """
UPDATE messages
SET content = ?, status = ?, finish_reason = ?,
    prompt_tokens = ?, cached_tokens = ?, cached_from = ?,
    completion_tokens = ?, dropped_messages = ?,
    queued_seconds = ?, prefill_seconds = ?, decode_seconds = ?, seed = ?,
    error_code = ?, error_message = ?
WHERE id = ?
"""
