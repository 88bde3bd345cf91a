"""LibreChat's export of a conversation as JSON."""

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


def read(document: Any) -> Iterator[ImportedChat] | None:
    """Messages have `messageId`, and name their parent or have `children`."""
    messages = listed(mapping(document).get("messages"))
    if "conversationId" not in mapping(document) or not messages:
        return None
    if "messageId" not in mapping(messages[0]):
        return None
    return map(_chat, [document])


def _chat(document: dict[str, Any]) -> ImportedChat:
    options = mapping(document.get("options"))
    system = text_of(options.get("promptPrefix")) or text_of(options.get("system"))
    nodes = list(_nodes(document["messages"]))
    newest = max(nodes, key=lambda node: node.created_at, default=None)
    return make_chat(
        "librechat",
        nodes,
        id=document["conversationId"],
        title=document.get("title"),
        leaf=newest.id if newest and newest.created_at else None,
        system=system,
    )


def _nodes(messages: list[Any]) -> Iterator[Node]:
    waiting: list[tuple[dict[str, Any], str | None]] = [
        (mapping(message), None) for message in reversed(messages)
    ]
    while waiting:
        message, above = waiting.pop()
        blocks = [mapping(block) for block in listed(message.get("content"))]
        texts = [block.get("text") for block in blocks]
        plain = [t if isinstance(t, str) else mapping(t).get("value") for t in texts]
        id = text_of(message.get("messageId"))
        yield Node(
            id=id,
            parent=text_of(message.get("parentMessageId")) or above,
            role="user" if message.get("isCreatedByUser") is True else "assistant",
            content=text_of(message.get("text")) or joined(plain),
            reasoning=joined(blocks, "think"),
            created_at=milliseconds(message.get("createdAt")),
            model=text_of(message.get("model")) or None,
        )
        waiting += [(mapping(child), id) for child in reversed(listed(message.get("children")))]
