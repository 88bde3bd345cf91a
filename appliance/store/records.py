"""The records of stored chats, and how they are read from their tables."""

from typing import Any, Literal, Self

import apsw
import msgspec

from appliance.errors import MessageNotFound, SessionNotFound
from appliance.store.settings import Settings, from_column

Role = Literal["user", "assistant", "system"]
FinalStatus = Literal["complete", "stopped", "interrupted", "failed"]
MessageStatus = Literal["streaming"] | FinalStatus
FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]


class MessageUsage(msgspec.Struct, frozen=True):
    """What one reply took."""

    prompt_tokens: int
    cached_tokens: int
    """Of the prompt's, those that did not have to be computed."""
    cached_from: str | None
    """Where those were: `slot`, `shared`, `memory` or `disk`."""
    completion_tokens: int
    dropped_messages: int
    """Messages left out of the prompt to make it fit."""
    queued_seconds: float
    prefill_seconds: float
    decode_seconds: float
    seed: int
    context_tokens: int
    """Of the context, those in use when the reply ended."""
    n_ctx: int | None
    """Tokens that the context holds; None: a server elsewhere ran the model and did not say."""

    def and_then(self, rest: Self) -> Self:
        """Of a reply that went on: what was written is added up, the rest is the newest."""
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


class Message(msgspec.Struct, frozen=True):
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


class Session(msgspec.Struct, frozen=True):
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


_SESSIONS = """
SELECT sessions.id, title, pinned, sessions.created_at, updated_at, leaf_id, live.id, settings
FROM sessions
LEFT JOIN messages AS live ON live.session_id = sessions.id AND live.status = 'streaming'
WHERE deleted_at IS NULL
"""

_MESSAGES = """
SELECT id, session_id, parent_id, role, content, reasoning, status, finish_reason, model,
       created_at, prompt_tokens, cached_tokens, cached_from, completion_tokens, dropped_messages,
       queued_seconds, prefill_seconds, decode_seconds, seed,
       ifnull(context_tokens, prompt_tokens + completion_tokens), n_ctx, error_code, error_message
FROM messages
"""

_VISIBLE = """
 AND EXISTS (
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
        row = connection.execute(_SESSIONS + "AND sessions.id = ?", (session_id,)).fetchone()
    if row is None:
        raise SessionNotFound(f"There is no session {session_id!a}.")
    return _to_session(row)


def all_sessions(connection: apsw.Connection) -> list[Session]:
    """Pinned ones first, then newest updated first; of the same millisecond, newest made first."""
    order = "ORDER BY pinned DESC, updated_at DESC, sessions.number DESC"
    return [_to_session(row) for row in connection.execute(_SESSIONS + order).fetchall()]


def find_message(
    connection: apsw.Connection,
    message_id: str,
    session_id: str | None = None,
    *,
    param: str | None = None,
    deleted: bool = False,
) -> Message:
    """The message, if it is one of that session; `param` goes into the error.

    `deleted`: also if its session is deleted, as long as it can be restored.

    Raises:
        MessageNotFound: it is not.
    """
    row = None
    if possible(message_id):
        wanted = "WHERE id = ?" + ("" if deleted else _VISIBLE)
        row = connection.execute(_MESSAGES + wanted, (message_id,)).fetchone()
    message = None if row is None else _to_message(row)
    if message is None or session_id not in (None, message.session_id):
        raise MessageNotFound(f"There is no message {message_id!a} here.", param=param)
    return message


def messages_of(connection: apsw.Connection, session_id: str) -> list[Message]:
    """In the order of making; none of a session that does not exist."""
    if not possible(session_id):
        return []
    in_order = f"WHERE session_id = ? {_VISIBLE} ORDER BY number"
    rows = connection.execute(_MESSAGES + in_order, (session_id,)).fetchall()
    return [_to_message(row) for row in rows]


def branch_to(connection: apsw.Connection, session_id: str, leaf_id: str) -> list[Message]:
    """From the root to the leaf; none where the session has no such leaf."""
    if not (possible(leaf_id) and possible(session_id)):
        return []
    rows = connection.execute(_BRANCH + _MESSAGES + _OF_BRANCH, (leaf_id, session_id)).fetchall()
    return [_to_message(row) for row in rows]


def possible(some_id: str) -> bool:
    """Ids are ASCII. Half a surrogate pair, which a URL can hold, is no text to SQLite."""
    return some_id.isascii()


def _to_session(row: Any) -> Session:
    id, title, pinned, created_at, updated_at, leaf_id, live_id, settings = row
    return Session(
        id,
        title,
        bool(pinned),
        created_at,
        updated_at,
        leaf_id,
        live_id,
        from_column(settings),
    )


def _to_message(row: Any) -> Message:
    usage, error = row[10:21], row[21:]
    fields: Any = (
        *row[:10],
        None if usage[0] is None else MessageUsage(*usage),
        None if error[0] is None else MessageError(*error),
    )
    return Message(*fields)
