"""What every format is read into: a chat with a tree of messages, ready for the store."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from appliance.store.callers.attachments import AttachedContent
from appliance.store.ids import addressable
from appliance.store.sessions import Message, Role, Session, Settings
from appliance.store.text import encodable, title_from

LONGEST_TITLE = 200
LONGEST_ID = 200
MODEL_LENGTH = 500
_LATEST = 2**53


class ImportedChat(msgspec.Struct, frozen=True):
    """A chat from elsewhere."""

    session: Session
    messages: list[Message]
    origin: str = ""
    """The program that it is from: if its id is in use, it was imported before. Empty: ours, which
    is imported once more then."""
    attached: dict[str, list[AttachedContent]] = {}
    """What messages have with them, by their ids."""


Reader = Callable[[Any], Iterator[ImportedChat] | None]
"""Reads a JSON document; None: it is not of that format. Of a wrong chat, the iterator raises
ValueError or TypeError, and goes on with the next one if it is asked again, as `map` does."""


class Node(msgspec.Struct, kw_only=True):
    """A message as a format has it; one without text is left out."""

    id: str
    parent: str | None
    role: str
    """`user`, `assistant` and `system` are kept; a system message only as the first."""
    content: str = ""
    reasoning: str = ""
    created_at: int = 0
    """Unix milliseconds; 0: unknown."""
    model: str | None = None


def make_chat(
    origin: str,
    nodes: Iterable[Node],
    *,
    id: Any,
    title: Any = "",
    created_at: int = 0,
    updated_at: int = 0,
    leaf: str | None = None,
    pinned: bool = False,
    client_id: str | None = None,
    settings: Settings | None = None,
    system: str = "",
) -> ImportedChat:
    """A chat of a tree of messages, whatever their order.

    Args:
        origin: the program that it is from.
        nodes: its messages; one whose parent is not there is a beginning.
        id: its own; replaced where it could not stand in an address.
        title: empty: from the first message.
        created_at: Unix milliseconds; 0: unknown. So is `updated_at`.
        updated_at: when it was last changed.
        leaf: the message that is shown last, or one that is left out behind it; None: the last.
        pinned: it stands first.
        client_id: what clients that choose ids call it.
        settings: its own.
        system: its system prompt, where there are no settings.
    """
    session_id = _usable(id)
    kept, place = _kept(list(nodes))
    shown = place.get(leaf) if leaf is not None else None
    if shown is None and kept:
        shown = kept[-1].id
    times = [node.created_at for node in kept if node.created_at]
    created = created_at or min(times, default=0) or updated_at
    updated = max(updated_at or max(times, default=0), created)
    messages = [
        Message(
            id=node.id,
            session_id=session_id,
            parent_id=node.parent,
            role=_role(node.role),
            content=node.content,
            reasoning=node.reasoning,
            status="complete",
            finish_reason="stop" if node.role == "assistant" else None,
            model=encodable(node.model)[:MODEL_LENGTH] if node.model else None,
            created_at=node.created_at or created,
            usage=None,
            error=None,
        )
        for node in kept
    ]
    first = next((m.content for m in messages if m.role == "user"), "")
    session = Session(
        id=session_id,
        title=encodable(text_of(title).strip())[:LONGEST_TITLE] or title_from(first),
        pinned=pinned,
        created_at=created,
        updated_at=updated,
        leaf_id=shown,
        live_message_id=None,
        settings=Settings(system_prompt=system) if system else settings,
        client_id=client_id,
    )
    return ImportedChat(session, messages, origin)


def _kept(nodes: list[Node]) -> tuple[list[Node], dict[str | None, str | None]]:
    """The messages with a text, parents before children; and which of them stands for each id."""
    children: dict[str | None, list[Node]] = {}
    known = {node.id for node in nodes}
    for node in nodes:
        parent = node.parent if node.parent in known and node.parent != node.id else None
        children.setdefault(parent, []).append(node)
    kept: list[Node] = []
    place: dict[str | None, str | None] = {None: None}
    used: set[str] = set()
    waiting: list[tuple[Node, str | None, str]] = [
        (node, None, "") for node in reversed(children.get(None, []))
    ]
    done: set[int] = set()
    while waiting:
        node, parent, thoughts = waiting.pop()
        if id(node) in done:
            continue
        done.add(id(node))
        node_id = node.id
        reasoning = "\n\n".join(filter(None, (thoughts, node.reasoning)))
        below = children.pop(node_id, [])
        usable = node.role in ("user", "assistant") or (node.role == "system" and parent is None)
        # Thoughts belong to the answer that follows them, if one does.
        thought = node.role == "assistant" and reasoning.strip()
        ends = not any(child.role in ("assistant", "tool") for child in below)
        if usable and (node.content.strip() or (thought and ends)):
            new_id = _usable(node_id)
            if new_id in used:
                new_id = str(uuid.uuid4())
            used.add(new_id)
            replaced = msgspec.structs.replace(
                node,
                id=new_id,
                parent=parent,
                content=encodable(node.content),
                reasoning=encodable(reasoning) if node.role == "assistant" else "",
            )
            kept.append(replaced)
            place[node_id] = parent = new_id
            reasoning = ""
        else:
            place[node_id] = parent
        passed = "" if node.role == "user" else reasoning
        waiting += [(child, parent, passed) for child in reversed(below)]
    # Children stand behind their parents; otherwise in the order of time, as far as it is known.
    return kept, place


def _usable(given: Any) -> str:
    known = isinstance(given, str) and len(given) <= LONGEST_ID and addressable(given)
    return given if known else str(uuid.uuid4())


def _role(role: str) -> Role:
    return role  # type: ignore[return-value]  # `_kept` leaves out all others


def chain(entries: Iterable[tuple[str, str]]) -> Iterator[Node]:
    """Messages one after the other, from roles and contents."""
    before: str | None = None
    for role, content in entries:
        node = Node(id=str(uuid.uuid4()), parent=before, role=role, content=content)
        yield node
        before = node.id


# -- values of documents ---------------------------------------------------------------------------


def text_of(value: Any) -> str:
    """A text, or nothing."""
    return value if isinstance(value, str) else ""


def mapping(value: Any) -> dict[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def milliseconds(value: Any) -> int:
    """A time as Unix milliseconds, from seconds, milliseconds or ISO 8601; 0: it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value).timestamp()
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e18:
        return 0
    # Seconds until the year 5138, milliseconds from 1973 on, and then micro- and nanoseconds.
    while value >= 1e14:
        value /= 1000
    return min(int(value if value >= 1e11 else value * 1000), _LATEST)


def joined(parts: Iterable[Any], key: str = "text") -> str:
    """Texts of a list of texts and of objects that have one."""
    found = (part if isinstance(part, str) else text_of(mapping(part).get(key)) for part in parts)
    return "\n\n".join(text for text in found if text)
