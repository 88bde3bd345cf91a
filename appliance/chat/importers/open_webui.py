"""Open WebUI's export of chats: a list, or one chat."""

import re
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

_THOUGHTS = re.compile(
    r'<details type="reasoning"[^>]*>\s*(?:<summary>[^<]*</summary>)?(.*?)</details>\s*', re.DOTALL
)
_QUOTE = re.compile(r"^> ?", re.MULTILINE)


def read(document: Any) -> Iterator[ImportedChat] | None:
    """Each chat has its messages in `chat.history.messages`."""
    entries = document if isinstance(document, list) else [document]
    first = mapping(mapping(entries[0] if entries else None).get("chat"))
    if not isinstance(mapping(first.get("history")).get("messages"), dict):
        return None
    return map(_chat, map(mapping, entries))


def _chat(entry: dict[str, Any]) -> ImportedChat:
    chat = mapping(entry.get("chat"))
    history = mapping(chat.get("history"))
    messages = history.get("messages")
    if not isinstance(messages, dict):
        raise ValueError(f"the chat {text_of(entry.get('title'))!a} has no messages")
    system = text_of(chat.get("system")) or text_of(mapping(chat.get("params")).get("system"))
    return make_chat(
        "open-webui",
        (_node(id, mapping(message)) for id, message in messages.items()),
        id=entry.get("id") or chat.get("id"),
        title=entry.get("title") or chat.get("title"),
        created_at=milliseconds(entry.get("created_at") or chat.get("timestamp")),
        updated_at=milliseconds(entry.get("updated_at")),
        leaf=text_of(history.get("currentId")) or None,
        pinned=entry.get("pinned") is True,
        system=system,
    )


def _node(id: str, message: dict[str, Any]) -> Node:
    content = message.get("content")
    text = content if isinstance(content, str) else joined(listed(content))
    thoughts = [_QUOTE.sub("", found).strip() for found in _THOUGHTS.findall(text)]
    return Node(
        id=id,
        parent=text_of(message.get("parentId")) or None,
        role=text_of(message.get("role")),
        content=_THOUGHTS.sub("", text),
        reasoning=joined(thoughts),
        created_at=milliseconds(message.get("timestamp")),
        model=text_of(message.get("model")) or None,
    )
