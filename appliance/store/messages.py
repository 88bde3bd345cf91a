"""Adding messages and writing replies, inside the caller's transaction."""

from collections.abc import Mapping

import apsw
import msgspec

from appliance.errors import Conflict, ReplyInProgress, RequestError
from appliance.store.records import (
    FinalStatus,
    FinishReason,
    Message,
    MessageError,
    MessageStatus,
    MessageUsage,
    Role,
    Session,
    find_message,
)
from appliance.store.text import check_text, encodable

_USAGE = MessageUsage.__struct_fields__

_FINISH = f"""
UPDATE messages
SET content = ?1, reasoning = ?2, checksum = message_checksum(role, ?1, ?2),
    status = ?, finish_reason = ?,
    {", ".join(f"{name} = ?" for name in _USAGE)},
    error_code = ?, error_message = ?
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
        Conflict: it is complete, or the chat went on after it.
        ReplyInProgress: a reply of that session is still being written.
    """
    check_text(model or "", "model")
    message = find_message(connection, message_id, session.id, param="message_id")
    if message.role != "assistant":
        raise RequestError("This message is no reply.", param="message_id")
    _check_idle(session)
    if message.status == "complete" and message.finish_reason != "length":
        raise Conflict("This reply is complete.", param="message_id")
    child = "SELECT 1 FROM messages WHERE parent_id = ? LIMIT 1"
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
) -> None:
    """The end of a live reply; `texts`: content and reasoning."""
    if message.usage:
        usage = message.usage.and_then(usage) if usage else message.usage
    tokens = msgspec.structs.astuple(usage) if usage else (None,) * len(_USAGE)
    # Errors quote file names, which can be any bytes; the reply must end all the same.
    failure = (error.code, encodable(error.message)) if error else (None, None)
    connection.execute(_FINISH, (*texts, *ending, *tokens, *failure, message.id))
    connection.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (now, message.session_id))


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
