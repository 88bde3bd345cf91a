"""Adding messages and writing replies, inside the caller's transaction; changing and removing
messages.

A message that is removed stays in its table, out of sight, until it is purged. What followed it
follows the nearest message before it that is in sight, and returns when that one is put back.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from appliance.errors import Conflict, NotFound, ReplyInProgress, RequestError
from appliance.store.database import Database
from appliance.store.ids import TimeOrderedIds
from appliance.store.records import (
    FinalStatus,
    FinishReason,
    Message,
    MessageError,
    MessageStatus,
    MessageUsage,
    Role,
    Sent,
    Session,
    find_message,
    find_session,
    possible,
)
from appliance.store.text import check_text, encodable

_USAGE = MessageUsage.__struct_fields__

_FINISH = f"""
UPDATE messages
SET content = ?1, reasoning = ?2, checksum = message_checksum(role, ?1, ?2),
    status = ?, finish_reason = ?,
    {", ".join(f"{name} = ?" for name in _USAGE)},
    error_code = ?, error_message = ?, sent = ?
WHERE id = ?
"""  # noqa: S608 - our own names

_GROW = """
UPDATE messages SET content = ?1, reasoning = ?2, checksum = message_checksum(role, ?1, ?2)
WHERE id = ?3 AND status = 'streaming'
"""


def add(
    connection: apsw.Connection,
    made: tuple[str, int],
    session: Session,
    parent_id: str | None,
    role: Role,
    content: str,
    status: MessageStatus,
    model: str | None,
) -> Message:
    """Adds a message, which becomes the leaf; `made`: its id and the time.

    Raises:
        MessageNotFound: the session has no such parent.
        ReplyInProgress: it would be the second to be streaming.
    """
    message_id, now = made
    check_text(content, "content")
    check_text(model or "", "model")
    if parent_id is not None:
        find_message(connection, parent_id, session.id, param="parent_id")
    if status == "streaming":
        _check_idle(session)
    connection.execute(
        "INSERT INTO messages"
        " (id, session_id, parent_id, role, content, status, model, created_at, checksum)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, message_checksum(?4, ?5, ''))",
        (message_id, session.id, parent_id, role, content, status, model, now),
    )
    _becomes_leaf(connection, session.id, message_id, now)
    return find_message(connection, message_id)


def attach(
    connection: apsw.Connection,
    message: Message,
    ids: Sequence[str],
    owner: str,
    new_id: Callable[[], str],
) -> Message:
    """The message has these attachments with it: those of `owner` that were not sent yet, or those
    of other messages, which keep theirs.

    Raises:
        NotFound: there is none of that id.
        Conflict: it is still being uploaded.
    """
    for id in ids:
        row: Any = None
        if possible(id):
            row = connection.execute(
                "SELECT attachments.file, name, message_id, kind FROM attachments"
                " JOIN attached_files ON attached_files.number = file"
                " LEFT JOIN messages ON messages.id = message_id"
                " LEFT JOIN sessions ON sessions.id = session_id WHERE attachments.id = ?1"
                " AND (deleted_at IS NULL AND session_id IS NOT NULL"
                "  OR message_id IS NULL AND attachments.owner = ?2)",
                (id, owner),
            ).fetchone()
        if row is None:
            raise NotFound(f"there is no attachment {id!a}", param="attachments")
        file, name, sent_with, kind = row
        if kind is None:
            raise Conflict(f"{name} is still being uploaded", param="attachments")
        if sent_with is None:
            # What is sent first comes first, whatever was uploaded first.
            connection.execute(
                "UPDATE attachments SET message_id = ?, age = NULL,"
                " number = (SELECT max(number) + 1 FROM attachments) WHERE id = ?",
                (message.id, id),
            )
        else:
            connection.execute(
                "INSERT INTO attachments (id, owner, file, message_id, name)"
                " VALUES (?, ?, ?, ?, ?)",
                (new_id(), owner, file, message.id, name),
            )
    return find_message(connection, message.id) if ids else message


def copy_attachments(connection: apsw.Connection, ids: dict[str | None, str | None]) -> None:
    """What `ChatImportExport.add` is given for copies of messages that are here: their attachments
    are of the same files."""
    for first, copy in ids.items():
        connection.execute(
            "INSERT INTO attachments (id, owner, file, message_id, shown, name)"
            " SELECT 'att-' || lower(hex(randomblob(12))), owner, file, ?, shown, name"
            " FROM attachments WHERE message_id = ? ORDER BY number",
            (copy, first),
        )


def note_shown(connection: apsw.Connection, message_id: str, shown: Sequence[int | None]) -> None:
    """See `Sessions.note_shown`."""
    rows: Any = connection.execute(
        "SELECT number FROM attachments WHERE message_id = ? ORDER BY number", (message_id,)
    ).fetchall()
    connection.executemany(
        "UPDATE attachments SET shown = ?1 WHERE number = ?2 AND shown IS NOT ?1",
        [(most, number) for (number,), most in zip(rows, shown, strict=False)],
    )


def question(connection: apsw.Connection, session_id: str, message_id: str) -> Message:
    """What `message_id` replies to; itself if it is no reply.

    Raises:
        MessageNotFound: the session has no such message.
        RequestError: nothing stands before the reply.
    """
    message = find_message(connection, message_id, session_id, param="message_id")
    if message.role != "assistant":
        return message
    if message.parent_id is None:
        raise RequestError("Nothing was asked before this reply.", param="message_id")
    return find_message(connection, message.parent_id)


def resume(
    connection: apsw.Connection, now: int, session: Session, message_id: str, model: str | None
) -> Message:
    """A reply streams again, and becomes the leaf.

    Raises:
        RequestError: it is no reply.
        Conflict: the chat went on after it.
        ReplyInProgress: a reply of that session is still being written.
    """
    check_text(model or "", "model")
    message = find_message(connection, message_id, session.id, param="message_id")
    if message.role != "assistant":
        raise RequestError("This message is no reply.", param="message_id")
    _check_idle(session)
    child = "SELECT 1 FROM messages WHERE parent_id = ? AND removed_at IS NULL LIMIT 1"
    if connection.execute(child, (message_id,)).fetchone():
        raise Conflict("The chat went on after this reply.", param="message_id")
    connection.execute(
        "UPDATE messages SET status = 'streaming', finish_reason = NULL, model = ?,"
        " error_code = NULL, error_message = NULL WHERE id = ?",
        (model, message_id),
    )
    _becomes_leaf(connection, session.id, message_id, now)
    return find_message(connection, message_id)


def grow(connection: apsw.Connection, updates: Mapping[str, tuple[str, str]]) -> None:
    """Content and reasoning so far, by message id."""
    connection.executemany(
        _GROW,
        [(content, reasoning, message_id) for message_id, (content, reasoning) in updates.items()],
    )


def finish(
    connection: apsw.Connection,
    now: int,
    message: Message,
    texts: tuple[str, str],
    ending: tuple[FinalStatus, FinishReason | None],
    usage: MessageUsage | None,
    error: MessageError | None,
    sent: Sent | None,
) -> None:
    """The end of a live reply; `texts`: content and reasoning."""
    if message.usage:
        usage = message.usage.and_then(usage) if usage else message.usage
    tokens = msgspec.structs.astuple(usage) if usage else (None,) * len(_USAGE)
    # Errors quote file names, which can be any bytes; the reply must end all the same.
    failure = (error.code, encodable(error.message)) if error else (None, None)
    made_of = msgspec.json.encode(sent).decode() if sent else None
    connection.execute(_FINISH, (*texts, *ending, *tokens, *failure, made_of, message.id))
    connection.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (now, message.session_id))


def sent_of(connection: apsw.Connection, message_id: str) -> Sent | None:
    """What the prompt of a reply was made of; None: that is not known."""
    query = "SELECT sent FROM messages WHERE id = ?"
    row: Any = connection.execute(query, (message_id,)).fetchone()
    try:
        return msgspec.json.decode(row[0], type=Sent) if row and row[0] else None
    except msgspec.MsgspecError:  # a fault of the disk
        return None


def interrupt(connection: apsw.Connection) -> int:
    """All that streams does so no more; returns how many that were."""
    connection.execute("UPDATE messages SET status = 'interrupted' WHERE status = 'streaming'")
    return connection.changes()


def _check_idle(session: Session) -> None:
    if session.live_message_id is not None:
        raise ReplyInProgress("This session is still being answered.")


def _becomes_leaf(connection: apsw.Connection, session_id: str, message_id: str, now: int) -> None:
    connection.execute(
        "UPDATE sessions SET leaf_id = ?, updated_at = ? WHERE id = ?",
        (message_id, now, session_id),
    )


class Removed(msgspec.Struct, frozen=True):
    """What was removed of a session."""

    session: Session
    """As it is now."""
    message_ids: Sequence[str]
    """Those that are gone, the oldest first."""


class MessageChanges:
    """Changes stored messages. Any thread may call.

    A session that is being answered is not changed (`ReplyInProgress`). Raises StoreFull or
    StoreError where the database does, and then wrote nothing.
    """

    def __init__(
        self,
        database: Database,
        on_remove: Callable[[], None] = lambda: None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`database` is migrated; `on_remove` is called when something was removed; `clock` gives
        Unix milliseconds."""
        self._database = database
        self._on_remove = on_remove
        self._clock = clock
        self._new_id = TimeOrderedIds(clock)

    def edit(self, session_id: str, message_id: str, content: str) -> Message:
        """Another version of a message with this text, which becomes the leaf; the first one stays
        as it is, with all that follows it.

        Raises:
            SessionNotFound, MessageNotFound: unknown ids.
            RequestError: it is a system message, or `content` is empty.
        """
        check_text(content, "content")
        if not content.strip():
            raise RequestError("The message is empty.", param="content")
        with self._database.write() as connection:
            session = find_session(connection, session_id)
            first = find_message(connection, message_id, session_id, param="message_id")
            if first.role == "system":
                raise RequestError("A system message is not edited.", param="message_id")
            _check_idle(session)
            made = self._new_id(), self._clock()
            parent, role, model = first.parent_id, first.role, first.model
            new = add(connection, made, session, parent, role, content, "complete", model)
            connection.execute(
                "UPDATE messages SET edited = 1, reasoning = ?2,"
                " checksum = message_checksum(role, content, ?2) WHERE id = ?1",
                (new.id, first.reasoning),
            )
            copy_attachments(connection, {first.id: new.id})
            return find_message(connection, new.id)

    def remove(self, session_id: str, message_id: str, *, turn: bool = False) -> Removed:
        """Takes a message out of its chat, or with `turn` the question and all replies to it;
        `restore` puts it back.

        Of several versions of a message, one goes with all that follows it. Otherwise what follows
        stays, and follows the message before.

        Raises:
            SessionNotFound, MessageNotFound: unknown ids.
        """

        def hide(connection: apsw.Connection) -> Removed:
            session = find_session(connection, session_id)
            named = find_message(connection, message_id, session_id, param="message_id")
            _check_idle(session)
            tree = _Tree(connection, session_id)
            gone = tree.of_removal(named, turn=turn)
            connection.executemany(
                "UPDATE messages SET removed_at = ?, removed_with = ? WHERE id = ?",
                [(self._clock(), message_id, each) for each in gone],
            )
            tree = _settled(connection, session_id)
            leaf = session.leaf_id
            if leaf in gone:
                leaf = tree.newest_below(tree.in_sight(leaf))
            _changed(connection, session_id, leaf)
            return Removed(find_session(connection, session_id), gone)

        removed = self._database.write_freeing(hide)
        self._on_remove()
        return removed

    def restore(self, session_id: str, message_id: str) -> Session:
        """Undoes the removal of this message; of one that is there it changes nothing. It is shown
        then, unless a reply elsewhere in the chat is being written.

        Raises:
            SessionNotFound: unknown id.
            MessageNotFound: there is no such message any more.
        """
        with self._database.write() as connection:
            session = find_session(connection, session_id)
            connection.execute(
                "UPDATE messages SET removed_at = NULL, removed_age = NULL, removed_with = NULL"
                " WHERE session_id = ? AND removed_with = ?",
                (session_id, encodable(message_id)),
            )
            if not connection.changes():
                find_message(connection, message_id, session_id, param="message_id")
                return session
            tree = _settled(connection, session_id)
            leaf = session.leaf_id
            if session.live_message_id is None and message_id not in tree.path(leaf):
                leaf = tree.newest_below(message_id)
            _changed(connection, session_id, leaf)
            return find_session(connection, session_id)


class _Node(msgspec.Struct):
    """A message's place; `first_parent`: what it followed before that was removed."""

    parent: str | None
    role: str
    removed: bool
    first_parent: str | None


class _Tree:
    """The messages of a session as they follow each other, the removed ones too."""

    def __init__(self, connection: apsw.Connection, session_id: str) -> None:
        rows: Any = connection.execute(
            "SELECT id, parent_id, role, removed_at IS NOT NULL, moved_from FROM messages"
            " WHERE session_id = ? ORDER BY number",
            (session_id,),
        )
        self.nodes = {
            id: _Node(parent, role, bool(gone), moved) for id, parent, role, gone, moved in rows
        }

    def of_removal(self, named: Message, *, turn: bool) -> list[str]:
        """Ids of all that goes with a message, the oldest first."""
        top = named.id
        above = self.nodes.get(named.parent_id or "")
        if turn and named.role == "assistant" and above and above.role == "user":
            top = str(named.parent_id)
        node = self.nodes[top]
        gone = {top}
        versions = [i for i in self._children(node.parent) if self.nodes[i].role == node.role]
        if len(versions) > 1:
            for id, each in self.visible():  # parents come before their children
                if each.parent in gone:
                    gone.add(id)
        elif turn:
            gone |= {i for i in self._children(top) if self.nodes[i].role == "assistant"}
        return [id for id in self.nodes if id in gone]

    def in_sight(self, id: str | None) -> str | None:
        """This message, or else the nearest one before it that is not removed."""
        while id is not None and (node := self.nodes.get(id)) and node.removed:
            id = node.first_parent or node.parent
        return id

    def newest_below(self, id: str | None) -> str | None:
        """The leaf of the newest branch from here."""
        newest = {each.parent: child for child, each in self.visible()}
        while id in newest:
            id = newest[id]
        return id

    def path(self, leaf: str | None) -> list[str]:
        """Ids from a leaf up to its root."""
        found = []
        while leaf is not None and (node := self.nodes.get(leaf)):
            found.append(leaf)
            leaf = node.parent
        return found

    def _children(self, parent: str | None) -> list[str]:
        return [id for id, each in self.visible() if each.parent == parent]

    def visible(self) -> Iterable[tuple[str, _Node]]:
        """Those that are not removed, parents before their children."""
        return [(id, each) for id, each in self.nodes.items() if not each.removed]


def _settled(connection: apsw.Connection, session_id: str) -> _Tree:
    """Every message follows one that is in sight: its own parent, or what stands before that."""
    tree = _Tree(connection, session_id)
    moves = []
    for id, node in tree.visible():
        first = node.first_parent or node.parent
        parent = tree.in_sight(first)
        moved = None if parent == first else first
        if (parent, moved) != (node.parent, node.first_parent):
            moves.append((parent, moved, id))
            node.parent, node.first_parent = parent, moved
    connection.executemany("UPDATE messages SET parent_id = ?, moved_from = ? WHERE id = ?", moves)
    return tree


def _changed(connection: apsw.Connection, session_id: str, leaf: str | None) -> None:
    connection.execute(
        "UPDATE sessions SET leaf_id = ?, revision = ifnull(revision, 0) + 1 WHERE id = ?",
        (leaf, session_id),
    )
