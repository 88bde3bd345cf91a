"""The original service: `sessions.json`, rows of `sessions.db`, and what its page exports."""

from collections.abc import Iterable, Iterator
from itertools import starmap
from typing import Any

from appliance.chat.importers.chats import (
    ImportedChat,
    chain,
    make_chat,
    mapping,
    milliseconds,
    text_of,
)
from appliance.store.sessions import Settings

ORIGIN = "original"


def read(document: Any) -> Iterator[ImportedChat] | None:
    """`{id: [{role, content}]}`, or an export of one chat or of all of them."""
    if not isinstance(document, dict):
        return None
    exported = milliseconds(document.get("exportDate"))
    settings = _settings(mapping(document.get("settings")))
    if "sessionId" in document and isinstance(document.get("messages"), list):
        found = (document["sessionId"], document["messages"], exported, settings)
        return starmap(_chat, [found])
    if isinstance(document.get("sessions"), list) and "exportType" in document:
        entries = map(mapping, document["sessions"])
        return starmap(
            _chat, ((it.get("sessionId"), it.get("messages"), exported, settings) for it in entries)
        )
    if document and all(map(_is_history, document.values())):
        return read_rows(document.items())
    return None


def read_rows(rows: Iterable[tuple[Any, Any]]) -> Iterator[ImportedChat]:
    """Chats by what clients call them."""
    return starmap(_chat, rows)


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("role"), str) and "content" in entry
        for entry in value
    )


def _chat(name: Any, history: Any, at: int = 0, settings: Settings | None = None) -> ImportedChat:
    if not isinstance(name, str) or not name:
        raise ValueError("a chat has no id")
    if not _is_history(history):
        raise ValueError(f"the chat {name!a} has no messages with roles and contents")
    entries = [(entry["role"].lower(), text_of(entry["content"])) for entry in history]
    return make_chat(
        ORIGIN,
        chain(entries),
        id=name,
        client_id=name,
        created_at=at,
        settings=settings,
    )


def _settings(given: dict[str, Any]) -> Settings | None:
    """Those of the page; values out of range are left out."""
    stops = [text.strip() for text in text_of(given.get("stopSequences")).split(",")]
    usable = tuple(text for text in stops if 0 < len(text) <= 256)[:16]
    settings = Settings(
        model=text_of(given.get("model")) or None,
        temperature=_within(given.get("temperature"), 0, 2),
        top_p=_within(given.get("topP"), 0, 1),
        top_k=_whole(given.get("topK"), 0),
        max_tokens=_whole(given.get("maxTokens"), 1),
        repeat_penalty=_within(given.get("repeatPenalty"), 0.1, 10),
        system_prompt=text_of(given.get("systemPrompt")) or None,
        stop=usable or None,
    )
    return None if settings == Settings() else settings


def _within(value: Any, low: float, high: float) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and low <= value <= high else None


def _whole(value: Any, low: int) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and low <= value < 2**31 else None
