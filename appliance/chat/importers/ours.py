"""Chats that the appliance exported."""

from collections.abc import Iterator
from typing import Any

import msgspec

from appliance.chat.importers.chats import (
    LONGEST_ID,
    LONGEST_TITLE,
    ImportedChat,
    listed,
    mapping,
    text_of,
)
from appliance.store.callers.attachments import AttachedContent
from appliance.store.sessions import Message, Session

FORMAT, MANY, VERSION = "appliance.chat", "appliance.chats", 1


def read(document: Any) -> Iterator[ImportedChat] | None:
    """One chat, or a file of many."""
    found = mapping(document)
    if found.get("format") == MANY:
        _check_version(found)
        return map(_chat, listed(found.get("chats")))
    if found.get("format") != FORMAT:
        return None
    return map(_chat, [found])


def _chat(document: Any) -> ImportedChat:
    document = mapping(document)
    _check_version(document)
    given = {"live_message_id": None, **mapping(document.get("session"))}
    session = msgspec.convert(given, Session)
    if len(session.id) > LONGEST_ID or len(session.title) > LONGEST_TITLE:
        raise ValueError("its id or its title is too long")
    messages = []
    attached = {}
    for given in document.get("messages") or ():
        fields = {"session_id": session.id, **mapping(given)}
        files = fields.pop("attachments", None)
        message = msgspec.convert(fields, Message)
        messages.append(message)
        if files:
            attached[message.id] = msgspec.convert(files, list[AttachedContent])
    return ImportedChat(session, messages, text_of(document.get("origin")), attached)


def _check_version(document: dict[str, Any]) -> None:
    version = document.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ValueError("it was exported by a newer version of the appliance")


def write(chat: ImportedChat) -> dict[str, Any]:
    """A chat as `read` reads it."""
    session = msgspec.to_builtins(chat.session)
    messages = msgspec.to_builtins(chat.messages)
    for message in messages:
        if files := chat.attached.get(message["id"]):
            message["attachments"] = msgspec.to_builtins(files)
    return {
        "format": FORMAT,
        "version": VERSION,
        "origin": chat.origin,
        "session": session,
        "messages": messages,
    }
