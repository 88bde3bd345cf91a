"""Claude's data export: `conversations.json`, a list."""

from collections.abc import Iterator
from typing import Any

from appliance.chat.importers.chats import (
    ImportedChat,
    Node,
    joined,
    listed,
    make_chat,
    mapping,
    milliseconds,
    text_of,
)

_ROLES = {"human": "user", "assistant": "assistant"}


def read(document: Any) -> Iterator[ImportedChat] | None:
    """A list of conversations, or one, each with `chat_messages`."""
    entries = document if isinstance(document, list) else [document]
    if not entries or not isinstance(mapping(entries[0]).get("chat_messages"), list):
        return None
    return map(_chat, map(mapping, entries))


def _chat(entry: dict[str, Any]) -> ImportedChat:
    return make_chat(
        "claude",
        _nodes(listed(entry.get("chat_messages"))),
        id=entry.get("uuid"),
        title=entry.get("name"),
        created_at=milliseconds(entry.get("created_at")),
        updated_at=milliseconds(entry.get("updated_at")),
        leaf=text_of(entry.get("current_leaf_message_uuid")) or None,
        pinned=entry.get("is_starred") is True,
    )


def _nodes(messages: list[Any]) -> Iterator[Node]:
    before: str | None = None
    for number, message in enumerate(map(mapping, messages)):
        blocks = [mapping(block) for block in listed(message.get("content"))]
        texts = [block for block in blocks if block.get("type") == "text"]
        files = [
            f"{text_of(file.get('file_name'))}:\n{file['extracted_content']}"
            for file in map(mapping, listed(message.get("attachments")))
            if text_of(file.get("extracted_content"))
        ]
        id = text_of(message.get("uuid")) or f"message-{number}"
        # Exports without branches name no parents.
        named = "parent_message_uuid" in message
        yield Node(
            id=id,
            parent=text_of(message.get("parent_message_uuid")) if named else before,
            role=_ROLES.get(text_of(message.get("sender")), ""),
            content=joined([joined(texts) or text_of(message.get("text")), *files]),
            reasoning=joined((b for b in blocks if b.get("type") == "thinking"), "thinking"),
            created_at=milliseconds(message.get("created_at")),
        )
        before = id
