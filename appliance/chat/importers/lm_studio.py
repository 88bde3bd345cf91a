"""LM Studio's conversations: a file `*.conversation.json` each."""

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
    """Messages have `versions`, of which one is selected."""
    messages = listed(mapping(document).get("messages"))
    if not messages or not isinstance(mapping(messages[0]).get("versions"), list):
        return None
    return map(_chat, [document])


def _chat(document: dict[str, Any]) -> ImportedChat:
    nodes: list[Node] = []
    selected: str | None = None
    for number, message in enumerate(map(mapping, document["messages"])):
        versions = [mapping(version) for version in listed(message.get("versions"))]
        wanted = message.get("currentlySelected")
        parent, selected = selected, None
        for which, version in enumerate(versions):
            node = _node(f"message-{number}-{which}", parent, version)
            nodes.append(node)
            if which == wanted or selected is None:
                selected = node.id
    system = text_of(document.get("systemPrompt"))
    return make_chat(
        "lm-studio",
        nodes,
        # Files have no id, but no two are begun within a millisecond.
        id=f"lm-studio-{document.get('createdAt')}" if document.get("createdAt") else None,
        title=document.get("name"),
        created_at=milliseconds(document.get("createdAt")),
        leaf=selected,
        pinned=document.get("pinned") is True,
        system=system,
    )


def _node(id: str, parent: str | None, version: dict[str, Any]) -> Node:
    texts: list[Any] = listed(version.get("content"))
    thoughts: list[Any] = []
    for step in map(mapping, listed(version.get("steps"))):
        thinking = mapping(step.get("style")).get("type") == "thinking"
        (thoughts if thinking else texts).extend(listed(step.get("content")))
    sender = mapping(version.get("senderInfo")).get("senderName")
    return Node(
        id=id,
        parent=parent,
        role=text_of(version.get("role")),
        content=joined(texts),
        reasoning=joined(thoughts),
        model=text_of(sender) or None,
    )
