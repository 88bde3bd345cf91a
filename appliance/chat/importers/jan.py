"""Jan's threads: a folder each, with `thread.json` and `messages.jsonl`."""

from collections.abc import Iterator
from itertools import starmap
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

MESSAGES, THREAD = "messages.jsonl", "thread.json"


def read(document: Any) -> Iterator[ImportedChat] | None:
    """A list of messages, as the lines of `messages.jsonl` are."""
    return read_thread(document, {})


def read_thread(document: Any, thread: dict[str, Any]) -> Iterator[ImportedChat] | None:
    """The same, with what `thread.json` says beside it."""
    first = mapping(listed(document)[0]) if listed(document) else {}
    if not isinstance(first.get("thread_id"), str) or "role" not in first:
        return None
    return starmap(_chat, [(document, first["thread_id"], thread)])


def _chat(messages: list[Any], id: str, thread: dict[str, Any]) -> ImportedChat:
    assistants = [mapping(entry) for entry in listed(thread.get("assistants"))]
    system = text_of(assistants[0].get("instructions")) if assistants else ""
    return make_chat(
        "jan",
        _nodes(messages),
        id=id,
        title=thread.get("title"),
        created_at=milliseconds(thread.get("created")),
        updated_at=milliseconds(thread.get("updated")),
        system=system,
    )


def _nodes(messages: list[Any]) -> Iterator[Node]:
    before: str | None = None
    for number, message in enumerate(map(mapping, messages)):
        id = text_of(message.get("id")) or f"message-{number}"
        parts = [mapping(part) for part in listed(message.get("content"))]
        texts = [mapping(part.get("text")).get("value") for part in parts]
        metadata = mapping(message.get("metadata"))
        yield Node(
            id=id,
            parent=before,
            role=text_of(message.get("role")),
            content=joined(texts) or text_of(message.get("content")),
            created_at=milliseconds(message.get("created_at")),
            model=text_of(metadata.get("modelId")) or None,
        )
        before = id
