"""Items of OpenAI's Responses → a conversation."""

import secrets
from collections.abc import Iterable
from typing import Any

from appliance.api.generation.conversation import BETWEEN, Conversation, tool_call
from appliance.api.responses.schemas import shown_name
from appliance.engine.types import CalledFunction, ToolCall
from appliance.errors import RequestError

Item = dict[str, Any]

_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
_RESULTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")


def input_items(given: str | list[Item] | None) -> list[Item]:
    """The items of a request's `input`, each with a type and an id."""
    if given is None or isinstance(given, str):
        part = {"type": "input_text", "text": given or ""}
        given = [{"type": "message", "role": "user", "content": [part]}]
    found = []
    for item in given:
        kind = item.get("type") or ("message" if "role" in item else "")
        prefix = _PREFIXES.get(kind, "item")
        id = item.get("id") or f"{prefix}_{secrets.token_hex(12)}"
        found.append({**item, "type": kind, "id": id})
    return found


def conversation_of(instructions: str | None, items: Iterable[Item]) -> Conversation:
    """What the model is shown.

    Raises:
        RequestError: an item can't be shown to it, or lacks what it needs.
    """
    found = Conversation()
    found.system(instructions or "")
    thought = ""
    for number, item in enumerate(items):
        path = f"input[{number}]"
        kind = item.get("type")
        if kind == "reasoning":
            thought = _thought(item)
            continue
        if kind == "message":
            _add_message(found, item, path, thought)
        elif kind in ("function_call", "custom_tool_call"):
            found.assistant("", reasoning=thought, calls=[_call(item, path)])
        elif kind in _RESULTS:
            output = item.get("output")
            content = output if isinstance(output, str) else _text(output, f"{path}.output")
            found.tool(_needed(item, "call_id", path), content)
        else:  # somebody else's item, which says nothing to a model
            continue
        thought = ""
    return found


def _add_message(found: Conversation, item: Item, path: str, thought: str) -> None:
    content = _text(item.get("content"), f"{path}.content")
    match item.get("role"):
        case "user":
            found.user(content)
        case "assistant":
            found.assistant(content, reasoning=thought)
        case "system" | "developer":
            found.system(content)
        case _:
            raise RequestError(
                f"{path}.role needs user, assistant, system or developer", param=f"{path}.role"
            )


def _call(item: Item, path: str) -> ToolCall:
    namespace = item.get("namespace")
    name = shown_name(
        _needed(item, "name", path), namespace if isinstance(namespace, str) else None
    )
    id = _needed(item, "call_id", path)
    if item["type"] == "custom_tool_call":
        return tool_call(id, name, {"input": str(item.get("input") or "")})
    arguments = item.get("arguments")
    return ToolCall(id, CalledFunction(name, arguments if isinstance(arguments, str) else "{}"))


def _needed(item: Item, name: str, path: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise RequestError(f"{path}.{name} is missing", param=f"{path}.{name}")
    return value


def _thought(item: Item) -> str:
    texts = []
    for name in ("content", "summary"):
        parts = item.get(name)
        if isinstance(parts, list):
            texts = [str(part.get("text") or "") for part in parts if isinstance(part, dict)]
        if any(texts):
            break
    return BETWEEN.join(filter(None, texts))


def _text(content: Any, path: str) -> str:
    """The text of a message or a result.

    Raises:
        RequestError: there is something that isn't text.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise RequestError(f"{path} needs a text or parts", param=path)
    texts = []
    for number, part in enumerate(content):
        place = f"{path}[{number}]"
        if not isinstance(part, dict):
            raise RequestError(f"{place} needs an object", param=place)
        kind = part.get("type")
        if kind == "input_image":
            raise RequestError(f"{place}: this model cannot see images", param=place)
        if kind in ("input_file", "input_audio"):
            raise RequestError(f"{place}: only text can be read", param=place)
        text = part.get("refusal") if kind == "refusal" else part.get("text")
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts)
