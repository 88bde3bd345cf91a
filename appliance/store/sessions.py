"""Stored chats: sessions, each a tree of messages.

Any thread may call. What a method that writes has returned from is on the disk.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec

from appliance.errors import Conflict, MessageNotFound, RequestError, SessionNotFound
from appliance.store import messages
from appliance.store.database import Database
from appliance.store.ids import TimeOrderedIds, addressable
from appliance.store.records import (
    Attachment,
    DroppedBy,
    FinalStatus,
    FinishReason,
    Message,
    MessageError,
    MessageStatus,
    MessageUsage,
    Role,
    Sent,
    Session,
    all_sessions,
    branch_to,
    changed_sessions,
    check_room,
    find_message,
    find_session,
    messages_of,
    newest_revision,
    possible,
    some_messages,
    some_sessions,
    whole_read,
)
from appliance.store.settings import NOTHING, Settings, to_column
from appliance.store.text import check_text, title_from

__all__ = [
    "USE_LEAF",
    "Attachment",
    "ChangedSessions",
    "ClientId",
    "DroppedBy",
    "FinalStatus",
    "FinishReason",
    "Message",
    "MessageError",
    "MessageStatus",
    "MessageUsage",
    "Role",
    "Sent",
    "Session",
    "SessionChanges",
    "Sessions",
    "Settings",
]

USE_LEAF: Final = msgspec.UNSET
"""As a parent: the session's leaf. A request's absent `parent_id` decodes to the same."""


def _unix_milliseconds() -> int:
    return time.time_ns() // 1_000_000


class SessionChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be another way; what is not given stays."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    pinned: bool | msgspec.UnsetType = msgspec.UNSET
    leaf_id: str | msgspec.UnsetType | None = msgspec.UNSET
    """The message that the chat continues from; None: it starts from the beginning."""
    settings: Mapping[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    """Fields of `Settings`; None takes one back, or all of them."""
    folder_id: str | msgspec.UnsetType | None = msgspec.UNSET
    """A folder's id; None: it is in none."""


class ChangedSessions(msgspec.Struct, frozen=True, kw_only=True):
    """Some sessions, or what changed in the list of all."""

    sessions: Sequence[Session]
    gone: Sequence[str] = ()
    """Ids of sessions that were deleted."""
    revision: str
    """What has changed after this moment is asked for with it. Revisions of another start of the
    service say nothing."""
    whole: bool
    """These are all sessions from the first one on, rather than changes."""
    more: bool = False
    """Others follow."""


class ClientId(msgspec.Struct, frozen=True):
    """What a client calls a session."""

    id: str
    """Any text."""
    owner: str = ""
    """The id of the client's key; empty: it has none."""


class Sessions:
    """Every method raises StoreFull or StoreError where the database does, and then wrote nothing.

    Text with half a surrogate pair, which UTF-8 cannot hold, is a RequestError naming its field. A
    deleted session is there for `restore` alone, until it is purged.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int] = _unix_milliseconds,
        *,
        max_sessions: int = 0,
    ) -> None:
        """`database` is migrated; `clock` gives Unix milliseconds.

        `max_sessions`: see `[limits]`; deleted ones do not count.
        """
        self._max_sessions = max_sessions
        self._database = database
        self._clock = clock
        self._new_id = TimeOrderedIds(clock)
        self._start = secrets.token_hex(4)
        self._oldest_revision = 0

    # -- sessions --------------------------------------------------------------------------------

    def list(self) -> Sequence[Session]:
        """Every session: pinned ones first, then newest updated first."""
        with self._database.read() as connection:
            return all_sessions(connection)

    def page(self, limit: int, after: str | None = None) -> ChangedSessions:
        """As many sessions of `list`, from the first one on, or those behind the session `after`.

        Raises:
            SessionNotFound: `after` is gone for good.
        """
        with self._database.read() as connection, whole_read(connection):
            found = some_sessions(connection, limit + 1, after)
            revision = f"{self._start}-{newest_revision(connection)}"
        return ChangedSessions(
            sessions=found[:limit], revision=revision, whole=True, more=len(found) > limit
        )

    def changes(self, since: str, limit: int) -> ChangedSessions:
        """What changed after the revision `since`; of a revision that is not known, `page`."""
        start, _, number = since.partition("-")
        known = start == self._start and number.isdecimal() and len(number) < 19
        if not known or int(number) < self._oldest_revision:
            return self.page(limit)
        with self._database.read() as connection, whole_read(connection):
            there, gone = changed_sessions(connection, int(number))
            revision = f"{self._start}-{newest_revision(connection)}"
        return ChangedSessions(sessions=there, gone=gone, revision=revision, whole=False)

    def forget_changes(self) -> None:
        """Keeps no ids of sessions that are gone; who asks for changes gets all sessions then."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM session_changes")
            self._oldest_revision = newest_revision(connection)

    def count(self) -> int:
        """How many there are."""
        with self._database.read() as connection:
            rows: Any = connection.execute(
                "SELECT count(*) FROM sessions WHERE deleted_at IS NULL"
            ).fetchall()
            return int(rows[0][0])

    def get(self, session_id: str) -> Session:
        """Raises SessionNotFound."""
        with self._database.read() as connection:
            return find_session(connection, session_id)

    def id_of_client(self, client: ClientId) -> str:
        """The id of the session that a client's id names: its own, else that of a client without a
        key, else the session whose id it is.

        Raises:
            SessionNotFound: there is none.
        """
        with self._database.read() as connection:
            found = id_of_client(connection, client)
        if found is None:
            raise SessionNotFound(f"There is no session {client.id!a}.")
        return found

    def client_ids(self, owner: str) -> Sequence[str]:
        """What a client calls each session, in the order of `list`; see `ClientId`."""
        with self._database.read() as connection:
            names: dict[str, str] = dict(
                connection.execute(
                    "SELECT id, client_id FROM sessions WHERE client_id IS NOT NULL"
                    " AND deleted_at IS NULL AND client_owner IN (?, '')",
                    (owner,),
                )
            )
            return [names.get(session.id, session.id) for session in all_sessions(connection)]

    def create(
        self,
        title: str = "",
        session_id: str | None = None,
        settings: Settings = NOTHING,
        system: str = "",
        client: ClientId | None = None,
        folder_id: str | None = None,
    ) -> Session:
        """A new session; without an id it is given one, without a `system` message it is empty.

        Raises:
            RequestError: the id could not stand in an address.
            Conflict: there is a session of that id, or one that `client` finds.
            TooManySessions: there is none, and there are as many as there may be.
        """
        check_text(title, "title")
        check_text(client.id if client else "", "client_id")
        settings.check()
        session_id = session_id or self._new_id()
        if not addressable(session_id):
            raise RequestError(
                "The id of a session is ASCII text without spaces and /?#%, and not `import`, `.`"
                " or `..`.",
                param="id",
            )
        now = self._clock()
        with self._database.write() as connection:
            # The one that is deleted can't come back now, and no other transaction knows of it.
            connection.execute(
                "DELETE FROM sessions WHERE id = ? AND deleted_at IS NOT NULL", (session_id,)
            )
            there = connection.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,))
            if there.fetchone() or (client and id_of_client(connection, client)):
                raise Conflict(f"There is a session {session_id} already.", param="id")
            check_room(connection, self._max_sessions)
            connection.execute(
                "INSERT INTO sessions"
                " (id, title, created_at, updated_at, settings, folder_id, client_id, client_owner)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(session_id, title, now, now, to_column(settings), folder_id),
                    *((client.id, client.owner) if client else (None, "")),
                ),
            )
            session = find_session(connection, session_id)
            if system:
                made = self._new_id(), now
                messages.add(connection, made, session, None, "system", system, "complete", None)
            return find_session(connection, session_id)

    def update(self, session_id: str, changes: SessionChanges) -> Session:
        """Changes a session, which keeps its place in the list unless it is pinned or let go.

        Two that change different settings at the same time both get what they want.

        Raises:
            SessionNotFound: unknown id.
            MessageNotFound: the new leaf is no message of that session.
        """
        given = {
            name: value
            for name, value in msgspec.structs.asdict(changes).items()
            if value is not msgspec.UNSET
        }
        check_text(given.get("title", ""), "title")
        with self._database.write() as connection:
            session = find_session(connection, session_id)
            if given.get("leaf_id") is not None:
                find_message(connection, given["leaf_id"], session_id, param="leaf_id")
            if "settings" in given:
                wanted = given["settings"]
                settings = (session.settings or NOTHING).changed(wanted) if wanted else NOTHING
                settings.check()
                given["settings"] = to_column(settings)
            for name, value in given.items():
                connection.execute(
                    f"UPDATE sessions SET {name} = ? WHERE id = ?",  # noqa: S608 - our own names
                    (value, session_id),
                )
            return find_session(connection, session_id)

    def delete(self, session_id: str) -> None:
        """Takes the session and its messages out of sight; `restore` brings them back.

        Raises:
            SessionNotFound: unknown id.
        """

        def hide(connection: apsw.Connection) -> None:
            find_session(connection, session_id)
            connection.execute(
                "UPDATE sessions SET deleted_at = ? WHERE id = ?", (self._clock(), session_id)
            )

        self._database.write_freeing(hide)

    def restore(self, session_id: str) -> Session:
        """Undoes `delete`; of a session that is there it changes nothing. Its client's id is
        forgotten if another session has it by now.

        Raises:
            SessionNotFound: unknown id, or that of a session that was purged.
        """
        with self._database.write() as connection:
            if session_id.isascii():
                connection.execute(
                    "UPDATE sessions SET client_id = NULL"
                    " WHERE id = ? AND deleted_at IS NOT NULL AND EXISTS (SELECT 1 FROM sessions"
                    " AS other WHERE other.deleted_at IS NULL"
                    " AND other.client_id = sessions.client_id"
                    " AND other.client_owner = sessions.client_owner)",
                    (session_id,),
                )
                connection.execute(
                    "UPDATE sessions SET deleted_at = NULL, deleted_age = NULL, expired = 0,"
                    " idle_update = NULL WHERE id = ?",
                    (session_id,),
                )
            return find_session(connection, session_id)

    # -- messages --------------------------------------------------------------------------------

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

    def some_messages(
        self, session_id: str, limit: int, before: str | None = None
    ) -> tuple[Sequence[Message], bool]:
        """The last `limit` of `messages`, of those made before the message `before`; and whether
        there are others before them.

        Raises:
            SessionNotFound: unknown id.
            MessageNotFound: that session has no message `before`.
        """
        with self._database.read() as connection, whole_read(connection):
            find_session(connection, session_id)
            if before is not None:
                find_message(connection, before, session_id, param="before")
            found = some_messages(connection, session_id, limit + 1, before)
        return found[-limit:], len(found) > limit

    def message(self, message_id: str) -> Message:
        """Raises MessageNotFound."""
        with self._database.read() as connection:
            return find_message(connection, message_id)

    def sent(self, message_id: str) -> Sent | None:
        """What else than the chat a reply's prompt was made of; None: that is not known."""
        with self._database.read() as connection:
            return messages.sent_of(connection, message_id)

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

    # -- replies ---------------------------------------------------------------------------------

    def begin_turn(
        self,
        session_id: str,
        content: str,
        parent_id: str | msgspec.UnsetType | None = USE_LEAF,
        model: str | None = None,
        attachments: Sequence[str] = (),
        owner: str = "",
    ) -> tuple[Message, Message]:
        """The user's message and the empty, streaming reply to it: both are stored, or neither.

        A session without a title gets one from `content`, or from the first attachment.

        Args:
            session_id: of the chat.
            content: of the message.
            parent_id: the message it follows; unset: the session's leaf.
            model: which replies.
            attachments: ids; see `messages.attach`.
            owner: whose they are, if they were not sent yet.

        Raises:
            SessionNotFound: unknown id.
            MessageNotFound: that session has no such parent.
            NotFound, Conflict: an attachment is not there, or not whole.
            ReplyInProgress: a reply of that session is still being written.
        """
        with self._database.write() as connection:
            session = find_session(connection, session_id)
            parent = session.leaf_id if parent_id is USE_LEAF else parent_id
            made = self._new_id(), self._clock()
            user = messages.add(
                connection, made, session, parent, "user", content, "complete", None
            )
            user = messages.attach(connection, user, attachments, owner, self._new_id)
            made = self._new_id(), self._clock()
            reply = messages.add(
                connection, made, session, user.id, "assistant", "", "streaming", model
            )
            if not session.title:
                title = title_from(content)
                if not content.strip() and user.attachments:
                    title = title_from(user.attachments[0].name)
                connection.execute(
                    "UPDATE sessions SET title = ? WHERE id = ?", (title, session_id)
                )
        return user, reply

    def begin_reply(
        self, session_id: str, message_id: str, model: str | None = None
    ) -> tuple[Message, Message]:
        """Another reply beside `message_id`, or one to it if it is no reply: empty and streaming.

        Returns:
            What is replied to, and the reply.

        Raises:
            SessionNotFound, MessageNotFound: unknown ids.
            RequestError: nothing was asked before that reply.
            ReplyInProgress: a reply of that session is still being written.
        """
        with self._database.write() as connection:
            session = find_session(connection, session_id)
            asked = messages.question(connection, session_id, message_id)
            made = self._new_id(), self._clock()
            reply = messages.add(
                connection, made, session, asked.id, "assistant", "", "streaming", model
            )
        return asked, reply

    def resume_reply(
        self, session_id: str, message_id: str, model: str | None = None
    ) -> tuple[Message, Message]:
        """Has a reply stream again, with all that it has.

        Returns:
            What is replied to, and the reply.

        Raises:
            SessionNotFound, MessageNotFound: unknown ids.
            RequestError: it is no reply, or nothing was asked before it.
            Conflict: the chat went on after it.
            ReplyInProgress: a reply of that session is still being written.
        """
        with self._database.write() as connection:
            session = find_session(connection, session_id)
            asked = messages.question(connection, session_id, message_id)
            return asked, messages.resume(connection, self._clock(), session, message_id, model)

    def grow_replies(self, updates: Mapping[str, tuple[str, str]]) -> None:
        """Stores content and reasoning so far of live replies, by message id, in one transaction.

        Ids of replies that have ended or were deleted meanwhile are passed over.
        """
        for content, reasoning in updates.values():
            check_text(content, "content")
            check_text(reasoning, "reasoning")
        if not updates:
            return
        with self._database.write() as connection:
            messages.grow(connection, updates)

    def finish_reply(
        self,
        message_id: str,
        content: str,
        status: FinalStatus,
        finish_reason: FinishReason | None = None,
        usage: MessageUsage | None = None,
        error: MessageError | None = None,
        *,
        reasoning: str = "",
        sent: Sent | None = None,
    ) -> Message:
        """Ends a live reply and gives it as it is stored.

        The first ending stays: a reply that has ended already is given as it is. What a reply that
        went on took before is added to `usage`.

        Raises:
            MessageNotFound: unknown id, or its session was deleted: then the ending is stored all
                the same, for `restore`.
        """
        check_text(content, "content")
        check_text(reasoning, "reasoning")
        with self._database.write() as connection:
            message = find_message(connection, message_id, deleted=True)
            if message.status == "streaming":
                messages.finish(
                    connection,
                    self._clock(),
                    message,
                    (content, reasoning),
                    (status, finish_reason),
                    usage,
                    error,
                    sent,
                )
        return self.message(message_id)

    def note_shown(self, message_id: str, shown: Sequence[int | None]) -> None:
        """How many characters of a message's attachments, in their order, the model was shown;
        None: all."""
        with self._database.write() as connection:
            messages.note_shown(connection, message_id, shown)

    def interrupt_streaming(self) -> int:
        """At start-up: what was being written when the process died becomes `interrupted`; at
        once, or if nothing can be stored now, before anything is.

        Returns:
            How many replies that were; each keeps its text so far.
        """
        counts: list[int] = []
        done = self._database.write_first(lambda opened: counts.append(messages.interrupt(opened)))
        return counts[-1] if done else 0


def id_of_client(connection: apsw.Connection, client: ClientId) -> str | None:
    """See `Sessions.id_of_client`; None: there is none."""
    check_text(client.id, "client_id")
    row: Any = connection.execute(
        "SELECT id FROM sessions WHERE deleted_at IS NULL"
        " AND client_id = ?1 AND client_owner IN (?2, '')"
        " ORDER BY client_owner = ?2 DESC LIMIT 1",
        (client.id, client.owner),
    ).fetchone()
    if row is None and possible(client.id):
        row = connection.execute(
            "SELECT id FROM sessions WHERE deleted_at IS NULL AND id = ?", (client.id,)
        ).fetchone()
    return None if row is None else str(row[0])
