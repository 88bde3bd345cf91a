"""The records of stored chats, and how they are read from their tables."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Self, get_args

import apsw
import msgspec

from appliance.errors import MessageNotFound, SessionNotFound, TooManySessions
from appliance.store.disk.checksum import message_checksum
from appliance.store.disk.damaged_rows import all_rows, as_integer, as_text
from appliance.store.settings import Settings, from_column

log = logging.getLogger(__name__)

Role = Literal["user", "assistant", "system"]
FinalStatus = Literal["complete", "stopped", "interrupted", "failed"]
MessageStatus = Literal["streaming"] | FinalStatus
FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]
DroppedBy = Literal["context", "limit"]
"""What a prompt was too long for: the model's context, or `limits.max_history_messages`."""


class MessageUsage(msgspec.Struct, frozen=True):
    """Tokens and times of one reply."""

    prompt_tokens: int
    cached_tokens: int
    """The prompt tokens that did not have to be computed."""
    cached_from: str | None
    """Where those were: `slot`, `shared`, `memory` or `disk`."""
    completion_tokens: int
    dropped_messages: int
    """Messages left out of the prompt."""
    queued_seconds: float
    prefill_seconds: float
    decode_seconds: float
    seed: int
    context_tokens: int
    """The tokens of the context in use when the reply ended."""
    n_ctx: int | None
    """Tokens that the context holds; None: a server elsewhere ran the model and did not say."""
    dropped_by: DroppedBy | None = None
    """Why messages were left out; None: none were, or an earlier version did not record it."""

    def and_then(self, rest: Self) -> Self:
        """The usage of a continued reply: completion tokens are added up, others the newest."""
        return msgspec.structs.replace(
            rest,
            completion_tokens=self.completion_tokens + rest.completion_tokens,
            queued_seconds=self.queued_seconds,
            prefill_seconds=self.prefill_seconds,
            decode_seconds=self.decode_seconds + rest.decode_seconds,
        )


class MessageError(msgspec.Struct, frozen=True):
    """Why a reply failed: a code of `appliance.errors` and a sentence."""

    code: str
    message: str


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that a message has with it, or is to have."""

    id: str
    name: str
    bytes: int
    kind: str | None
    """`text`, `html`, `pdf` or `docx`; None: it is still being uploaded."""
    characters: int
    """Of its text."""
    pages: int | None = None
    shown: int | None = None
    """Characters that the model was shown, where that was not all."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node of a session's tree. Times are Unix milliseconds."""

    id: str
    session_id: str
    parent_id: str | None
    role: Role
    content: str
    reasoning: str
    """What the model thought before it answered."""
    status: MessageStatus
    finish_reason: FinishReason | None
    model: str | None
    created_at: int
    usage: MessageUsage | None
    error: MessageError | None
    attachments: tuple[Attachment, ...] = ()
    damaged: bool = False
    """It is not what was stored: a fault of the disk or of memory changed it."""
    edited: bool = False
    """A person wrote this version of it."""


class Sent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What else a reply's prompt was made of, besides the messages before it."""

    system: str | None = None
    """The system prompt, wherever it came from."""
    left_out: int = 0
    """How many of the oldest messages were not given to the model at all."""
    begun: tuple[int, int] | None = None
    """Characters of text and of reasoning that the reply had when it was continued."""
    effort: str | None = None
    """How much the model was to think, as far as its template knows that."""


class Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stored chat. Times are Unix milliseconds."""

    id: str
    title: str
    pinned: bool
    created_at: int
    updated_at: int
    """When a message was last added or a reply ended."""
    leaf_id: str | None
    """The newest message of the branch that is shown."""
    live_message_id: str | None
    """The reply that is being written now."""
    settings: Settings | None
    """What this chat sets otherwise than the default profile; None: nothing."""
    client_id: str | None = None
    """What the client calls it that chose an id for it: any text, unique for its owner."""
    folder_id: str | None = None
    """The folder that it is in; None: none."""
    damaged: bool = False
    """A part of it cannot be read any more."""
    revision: int = 0
    """Another number: messages were removed, or put back."""


_SESSION_COLUMNS = (
    *("sessions.id", "title", "pinned", "sessions.created_at", "updated_at", "leaf_id"),
    *("live.id", "settings", "client_id", "folder_id", "revision"),
)
_SESSIONS = """
SELECT {columns} FROM sessions
LEFT JOIN messages AS live ON live.session_id = sessions.id AND live.status = 'streaming'
WHERE deleted_at IS NULL
"""

_LISTED = " ORDER BY pinned DESC, updated_at DESC, sessions.number DESC"
_AMONG = "AND sessions.id IN (SELECT value FROM json_each(?))"
_FOLLOWS = """
AND (pinned, updated_at, sessions.number) < (
    SELECT pinned, updated_at, number FROM sessions WHERE id = ?
)
"""

_MESSAGE_COLUMNS = (
    *("id", "session_id", "parent_id", "role", "content", "reasoning", "status", "finish_reason"),
    *("model", "created_at", "checksum"),
    *("prompt_tokens", "cached_tokens", "cached_from", "completion_tokens", "dropped_messages"),
    *("queued_seconds", "prefill_seconds", "decode_seconds", "seed"),
    *("ifnull(context_tokens, prompt_tokens + completion_tokens)", "n_ctx", "dropped_by"),
    *("error_code", "error_message", "edited"),
)
_MESSAGES = "SELECT {columns} FROM messages "

_VISIBLE = """
 AND removed_at IS NULL AND EXISTS (
    SELECT 1 FROM sessions WHERE sessions.id = messages.session_id AND deleted_at IS NULL
)
"""

_BRANCH = f"""
WITH RECURSIVE branch (node, parent) AS (
    SELECT number, parent_id FROM messages WHERE id = ? AND session_id = ? {_VISIBLE}
    UNION ALL
    SELECT number, parent_id FROM branch JOIN messages ON id = parent
)
"""  # noqa: S608 - our own words

# A child's number is always above its parent's.
_OF_BRANCH = "WHERE number IN (SELECT node FROM branch) ORDER BY number"


def find_session(connection: apsw.Connection, session_id: str) -> Session:
    """Raises SessionNotFound."""
    row: Any = None
    if possible(session_id):
        sql = _SESSIONS + "AND sessions.id = ?"
        row = next(iter(all_rows(connection, sql, _SESSION_COLUMNS, (session_id,))), None)
    if row is None:
        raise SessionNotFound(f"There is no session {session_id!a}.")
    return _to_session(row)


def all_sessions(connection: apsw.Connection) -> list[Session]:
    """Pinned ones first, then newest updated first; of the same millisecond, newest made first."""
    numbers = "SELECT number FROM sessions INDEXED BY sessions_by_update"
    one_by_one = (numbers, "sessions.number")
    rows = all_rows(connection, _SESSIONS, _SESSION_COLUMNS, (), _LISTED, one_by_one)
    return [_to_session(row) for row in rows]


def some_sessions(connection: apsw.Connection, limit: int, after: str | None) -> list[Session]:
    """As many of `all_sessions`, those that follow the session `after` in that order.

    Raises:
        SessionNotFound: that one is gone for good.
    """
    sql = _SESSIONS
    values: tuple[str, ...] = ()
    if after is not None:
        there = "SELECT 1 FROM sessions WHERE id = ?"
        if not (possible(after) and connection.execute(there, (after,)).fetchone()):
            raise SessionNotFound(f"There is no session {after!a}.", param="after")
        sql, values = _SESSIONS + _FOLLOWS, (after,)
    order = f"{_LISTED} LIMIT {limit}"
    return [_to_session(row) for row in all_rows(connection, sql, _SESSION_COLUMNS, values, order)]


@contextmanager
def whole_read(connection: apsw.Connection) -> Iterator[None]:
    """All that is read within is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def newest_revision(connection: apsw.Connection) -> int:
    """Of the last change of any session; see `changed_sessions`."""
    row: Any = connection.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'session_changes'"
    ).fetchone()
    return row[0] if row else 0


def changed_sessions(connection: apsw.Connection, since: int) -> tuple[list[Session], list[str]]:
    """Sessions that changed after the revision `since`, in the order of `all_sessions`, and the ids
    of those that are not there any more."""
    changed: Any = connection.execute(
        "SELECT session_id FROM session_changes WHERE revision > ?", (since,)
    ).fetchall()
    if not changed:
        return [], []
    ids = [session_id for (session_id,) in changed]
    sql = _SESSIONS + _AMONG
    values = (msgspec.json.encode(ids).decode(),)
    rows = all_rows(connection, sql, _SESSION_COLUMNS, values, _LISTED)
    there = [_to_session(row) for row in rows]
    return there, sorted(set(ids) - {session.id for session in there})


def find_message(
    connection: apsw.Connection,
    message_id: str,
    session_id: str | None = None,
    *,
    param: str | None = None,
    deleted: bool = False,
) -> Message:
    """The message, if it is one of that session; `param` goes into the error.

    `deleted`: also if it or its session is deleted, as long as that can be restored.

    Raises:
        MessageNotFound: it is not.
    """
    row = None
    if possible(message_id):
        wanted = "WHERE id = ?" + ("" if deleted else _VISIBLE)
        rows = all_rows(connection, _MESSAGES + wanted, _MESSAGE_COLUMNS, (message_id,))
        row = next(iter(rows), None)
    message = None if row is None else _to_message(row)
    if message is None or session_id not in (None, message.session_id):
        raise MessageNotFound(f"There is no message {message_id!a} here.", param=param)
    return _with_attachments(connection, [message])[0]


def messages_of(connection: apsw.Connection, session_id: str) -> list[Message]:
    """In the order of making; none of a session that does not exist."""
    if not possible(session_id):
        return []
    wanted = f"WHERE session_id = ? {_VISIBLE}"
    numbers = "SELECT number FROM messages INDEXED BY messages_by_session WHERE session_id = ?"
    one_by_one = (f"{numbers} ORDER BY number", "number")
    rows = all_rows(
        connection,
        _MESSAGES + wanted,
        _MESSAGE_COLUMNS,
        (session_id,),
        " ORDER BY number",
        one_by_one,
    )
    return _joined(_with_attachments(connection, [_to_message(row) for row in rows]), {None})


def some_messages(
    connection: apsw.Connection, session_id: str, limit: int, before: str | None
) -> list[Message]:
    """The last `limit` of `messages_of`, of those that were made before the message `before`."""
    if not (possible(session_id) and possible(before or "")):
        return []
    wanted = f"WHERE session_id = ? {_VISIBLE}"
    values: tuple[str, ...] = (session_id,)
    if before is not None:
        wanted += " AND number < (SELECT number FROM messages WHERE id = ?)"
        values = (session_id, before)
    order = f" ORDER BY number DESC LIMIT {limit}"
    numbers = f"SELECT number FROM messages {wanted}{order}"  # noqa: S608 - our own words
    sql = _MESSAGES + wanted
    rows = all_rows(connection, sql, _MESSAGE_COLUMNS, values, order, (numbers, "number"))
    found = _with_attachments(connection, [_to_message(row) for row in reversed(rows)])
    parents = msgspec.json.encode([message.parent_id for message in found]).decode()
    outside = "SELECT id FROM messages WHERE id IN (SELECT value FROM json_each(?))"
    return _joined(found, {None, *(id for (id,) in connection.execute(outside, (parents,)))})


def branch_to(connection: apsw.Connection, session_id: str, leaf_id: str) -> list[Message]:
    """From the root to the leaf; none where the session has no such leaf."""
    if not (possible(leaf_id) and possible(session_id)):
        return []
    sql = _BRANCH + _MESSAGES + _OF_BRANCH
    rows = all_rows(connection, sql, _MESSAGE_COLUMNS, (leaf_id, session_id))
    return _with_attachments(connection, [_to_message(row) for row in rows])


ATTACHMENTS = """
SELECT message_id, attachments.id, name, bytes, kind, characters, pages, shown
FROM attachments JOIN attached_files ON attached_files.number = attachments.file
"""


def _with_attachments(connection: apsw.Connection, messages: list[Message]) -> list[Message]:
    ids = [message.id for message in messages if message.role == "user"]
    if not ids:
        return messages
    found: dict[str, list[Attachment]] = {}
    among = "WHERE message_id IN (SELECT value FROM json_each(?)) ORDER BY attachments.number"
    try:
        rows: Any = connection.execute(ATTACHMENTS + among, (msgspec.json.encode(ids).decode(),))
        for message_id, *fields in rows:
            found.setdefault(message_id, []).append(Attachment(*fields))
    except (apsw.CorruptError, UnicodeDecodeError) as ex:
        log.error("not all attachments can be read: %s", ex)
    if not found:
        return messages
    return [
        msgspec.structs.replace(message, attachments=tuple(found[message.id]))
        if message.id in found
        else message
        for message in messages
    ]


def check_room(connection: apsw.Connection, max_sessions: int) -> None:
    """Whether there may be one session more; deleted ones do not count. 0: any number.

    Raises:
        TooManySessions: there may not.
    """
    if not max_sessions:
        return
    count: Any = connection.execute(
        "SELECT count(*) FROM sessions WHERE deleted_at IS NULL"
    ).fetchone()
    if count[0] >= max_sessions:
        raise TooManySessions(
            f"There are {count[0]} chats, as many as limits.max_sessions allows. Delete some first."
        )


def possible(some_id: str) -> bool:
    """Ids are ASCII. Half a surrogate pair, which a URL can hold, is no text to SQLite."""
    return some_id.isascii()


def _joined(messages: list[Message], known: set[str | None]) -> list[Message]:
    """What follows a message that cannot be read follows the one before that; `known`: ids of
    messages before them."""
    joined: list[Message] = []
    for message in messages:
        known.add(message.id)
        if message.parent_id in known:
            joined.append(message)
            continue
        before = joined[-1].id if joined else None
        joined.append(msgspec.structs.replace(message, parent_id=before, damaged=True))
    return joined


def _to_session(row: Any) -> Session:
    bad: list[str] = []
    id, title, pinned, created_at, updated_at, leaf_id, live_id, stored, *rest = row
    client_id, folder, revision = rest
    try:
        settings = from_column(stored)
    except (msgspec.MsgspecError, ValueError, TypeError):
        settings = None
        bad.append("settings")
    if title is None:
        bad.append("title")
    return Session(
        as_text(id, bad) or "",
        as_text(title, bad) or "",
        bool(pinned),
        as_integer(created_at, bad),
        as_integer(updated_at, bad),
        as_text(leaf_id, bad),
        as_text(live_id, bad),
        settings,
        as_text(client_id, bad),
        as_text(folder, bad),
        revision=revision if isinstance(revision, int) else 0,
        damaged=bool(bad),
    )


_ROLES = frozenset(get_args(Role))
_STATUSES = frozenset({"streaming", *get_args(FinalStatus)})
_FINISH_REASONS = frozenset({None, *get_args(FinishReason)})
_DROPPED_BY = frozenset({None, *get_args(DroppedBy)})
_USAGE_TYPES = [
    *(int, int, str | None, int, int),
    *(float, float, float, int, int, int | None, str | None),
]


def _to_message(row: Any) -> Message:
    whole = row[10] == message_checksum(*row[3:6]) and tuple(map(type, row[:10])) in _TYPES
    words = row[6] in _STATUSES and row[7] in _FINISH_REASONS
    if whole and words and row[11] is row[23] is None:
        fields: Any = (*row[:10], None, None, (), False, bool(row[25]))
        return Message(*fields)
    return _examined(row)


_TYPES = frozenset(
    (str, str, parent, str, str, str, str, reason, model, int)
    for parent in (str, type(None))
    for reason in (str, type(None))
    for model in (str, type(None))
)


def _examined(row: Any) -> Message:
    """The message of a row that may be damaged."""
    bad: list[str] = []
    id, session_id, parent_id, role, content, reasoning, status, reason, model = (
        as_text(value, bad) for value in row[:9]
    )
    created_at, checksum, usage, error = as_integer(row[9], bad), row[10], row[11:23], row[23:25]
    if checksum != message_checksum(role, row[4], row[5]):
        bad.append("checksum")
    if role not in _ROLES or status not in _STATUSES or reason not in _FINISH_REASONS:
        bad.append("words")
        role = role if role in _ROLES else "assistant"
        status = status if status in _STATUSES else "interrupted"
        reason = reason if reason in _FINISH_REASONS else None
    fields: dict[str, Any] = {
        "id": id or "",
        "session_id": session_id or "",
        "parent_id": parent_id,
        "role": role,
        "content": content or "",
        "reasoning": reasoning or "",
        "status": status,
        "finish_reason": reason,
        "model": model,
        "created_at": created_at,
        "usage": _usage(usage, bad),
        "error": None
        if error[0] is None
        else MessageError(*(as_text(e, bad) or "" for e in error)),
    }
    return Message(**fields, damaged=bool(bad), edited=bool(row[25]))


def _usage(values: Any, bad: list[str]) -> MessageUsage | None:
    if values[0] is None:
        return None
    values = [as_text(v, bad) if isinstance(v, bytes) else v for v in values]
    if not all(map(isinstance, values, _USAGE_TYPES)):
        bad.append("usage")
        return None
    if values[-1] not in _DROPPED_BY:
        bad.append("usage")
        values[-1] = None
    return MessageUsage(*values)
