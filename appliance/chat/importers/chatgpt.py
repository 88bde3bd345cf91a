"""ChatGPT's data export: `conversations.json`, a list, or `conversations-000.json` and so on."""

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
    """A list of conversations, or one, each with a `mapping` of nodes."""
    entries = document if isinstance(document, list) else [document]
    if not entries or not isinstance(mapping(entries[0]).get("mapping"), dict):
        return None
    return map(_chat, map(mapping, entries))


def _chat(entry: dict[str, Any]) -> ImportedChat:
    nodes = entry.get("mapping")
    if not isinstance(nodes, dict):
        raise ValueError(f"the conversation {text_of(entry.get('title'))!a} has no messages")
    return make_chat(
        "chatgpt",
        (_node(id, mapping(node)) for id, node in nodes.items()),
        id=entry.get("conversation_id") or entry.get("id"),
        title=entry.get("title"),
        created_at=milliseconds(entry.get("create_time")),
        updated_at=milliseconds(entry.get("update_time")),
        leaf=text_of(entry.get("current_node")) or None,
        pinned=entry.get("is_starred") is True,
    )


def _node(id: str, node: dict[str, Any]) -> Node:
    message = mapping(node.get("message"))
    content, metadata = mapping(message.get("content")), mapping(message.get("metadata"))
    role = text_of(mapping(message.get("author")).get("role"))
    # What was sent to a tool, by it, or to steer the model was never part of the chat.
    hidden = metadata.get("is_visually_hidden_from_conversation") is True
    to_tool = message.get("recipient") not in (None, "all")
    thoughts = joined(listed(content.get("thoughts")), "content")
    kind = content.get("content_type")
    text = joined(listed(content.get("parts"))) if kind in ("text", "multimodal_text") else ""
    return Node(
        id=id,
        parent=text_of(node.get("parent")) or None,
        role=role,
        content="" if hidden or to_tool else text,
        reasoning=thoughts,
        created_at=milliseconds(message.get("create_time")),
        model=text_of(metadata.get("model_slug")) if role == "assistant" else None,
    )
