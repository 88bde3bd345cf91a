"""The same chat in forms that more templates accept. Pure Python.

Some refuse two messages of one role in a row, which a reply that was stopped before its first word
leaves behind; others system messages, or several calls in one reply. A chat is changed only when
its template refuses it or passes over a system message, and always in the same way: what was
computed of it stays of use.
"""

from collections.abc import Iterator, Sequence
from typing import Any

Message = dict[str, Any]


def forms(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """One after the other, each changed more than the one before, and never twice the same."""
    last = list(messages)
    for change in (_alternating, _answered, _one_call_each, _without_system, _from_the_user):
        changed = change(last)
        if changed != last:
            yield changed
        last = changed


def contains_all(text: str, messages: Sequence[Message]) -> bool:
    """Whether a rendered text contains the contents of all system messages."""
    contents = (message["content"] for message in messages if message["role"] == "system")
    return all(str(each).strip() in text for each in contents)


def _alternating(messages: Sequence[Message]) -> list[Message]:
    """Without replies that say nothing, and with neighbours of one role merged."""
    out: list[Message] = []
    for message in messages:
        role = message["role"]
        if role == "assistant" and not (message["content"] or message.get("tool_calls")):
            continue
        if role in ("user", "system", "assistant") and out and out[-1]["role"] == role:
            out[-1] = _merged(out[-1], message)
        else:
            out.append(message)
    return out


def _answered(messages: Sequence[Message]) -> list[Message]:
    """With a word of the assistant's between a result and the next question."""
    out: list[Message] = []
    for message in messages:
        if out and out[-1]["role"] == "tool" and message["role"] == "user":
            out.append({"role": "assistant", "content": "…"})
        out.append(message)
    return out


def _merged(first: Message, second: Message) -> Message:
    texts = [text for text in (first["content"], second["content"]) if text]
    calls = [*first.get("tool_calls", ()), *second.get("tool_calls", ())]
    whole = {**first, **second, "content": "\n\n".join(texts)}
    return whole | {"tool_calls": calls} if calls else whole


def _one_call_each(messages: Sequence[Message]) -> list[Message]:
    """Each call in a message of its own, with its result behind it."""
    out: list[Message] = []
    waiting: list[Message] = []
    for message in messages:
        calls = message.get("tool_calls") or []
        if message["role"] == "tool" and waiting:
            id = message.get("tool_call_id")
            called = next((w for w in waiting if w["tool_calls"][0].get("id") == id), waiting[0])
            waiting.remove(called)
            out += [called, message]
            continue
        out += waiting
        waiting = []
        if len(calls) > 1:
            first = {**message, "tool_calls": calls[:1]}
            bare = {"role": "assistant", "content": ""}
            waiting = [first, *({**bare, "tool_calls": [call]} for call in calls[1:])]
        else:
            out.append(message)
    return out + waiting


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """System messages merged into the beginning of the next question, or turned into a question."""
    out: list[Message] = []
    system: Message | None = None
    for message in messages:
        if message["role"] == "system":
            system = _merged(system, message) if system else message
        elif system and message["role"] == "user":
            out.append({**message, "content": _merged(system, message)["content"]})
            system = None
        else:
            if system:
                out.append({"role": "user", "content": system["content"]})
                system = None
            out.append(message)
    return [*out, {"role": "user", "content": system["content"]}] if system else out


def _from_the_user(messages: Sequence[Message]) -> list[Message]:
    """With a question first, if only an empty one."""
    if messages and messages[0]["role"] == "user":
        return list(messages)
    return [{"role": "user", "content": ""}, *messages]
