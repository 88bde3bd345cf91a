"""Items of OpenAI's Responses → a conversation."""

import re
import secrets
from collections.abc import Iterable
from typing import Any

from appliance.api.dialects.responses.schemas import shown_name
from appliance.api.generation.conversation import BETWEEN, Conversation, tool_call
from appliance.engine.types import CalledFunction, ToolCall
from appliance.errors import RequestError

Item = dict[str, Any]

_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
_ITEM_ID = re.compile(r"[a-z]+_([0-9a-f]{48})i?[0-9]{3,}")
_RESULTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")


PLAIN = "plain:"
"""What `encrypted_content` begins with here: nothing is encrypted."""
SUMMARY = "A summary of the conversation so far:\n"


def plain_content(text: str) -> str:
    """A text as `encrypted_content`."""
    return f"{PLAIN}{text}"


def new_response_id() -> str:
    """An id that no other response has."""
    return f"resp_{secrets.token_hex(24)}"


def input_items(given: str | list[Item] | None, response_id: str) -> list[Item]:
    """The items of a request's `input`, each with a type and an id, by which `response_of` finds
    the response that they came with."""
    if given is None or isinstance(given, str):
        given = [{"type": "message", "role": "user", "content": given or ""}]
    found = []
    for number, item in enumerate(given):
        kind = item.get("type") or ("message" if "role" in item else "")
        if not isinstance(kind, str):
            raise RequestError(f"input[{number}].type needs a text", param=f"input[{number}].type")
        id = item.get("id")
        if not isinstance(id, str) or not id:
            id = item_id(kind, response_id, f"i{number:03}")
        whole = {**item, "type": kind, "id": id}
        if kind == "message" and isinstance(item.get("content"), str):
            part = "output_text" if item.get("role") == "assistant" else "input_text"
            whole["content"] = [{"type": part, "text": item["content"]}]
        found.append(whole)
    return found


def item_id(kind: str, response_id: str, number: str) -> str:
    """The id of an item of a response."""
    return f"{_PREFIXES.get(kind, 'item')}_{response_id.removeprefix('resp_')}{number}"


def response_of(item_id: str) -> str | None:
    """The id of the response that an item is of; None: it is not one of ours."""
    found = _ITEM_ID.fullmatch(item_id)
    return f"resp_{found.group(1)}" if found else None


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
        elif kind == "compaction":
            found.user(f"{SUMMARY}{_summary(item, path)}")
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
    kept = item.get("encrypted_content")
    if not any(texts) and isinstance(kept, str) and kept.startswith(PLAIN):
        return kept.removeprefix(PLAIN)
    return BETWEEN.join(filter(None, texts))


def _summary(item: Item, path: str) -> str:
    content = _needed(item, "encrypted_content", path)
    if not content.startswith(PLAIN):
        param = f"{path}.encrypted_content"
        raise RequestError(f"{param} was not made by this service", param=param)
    return content.removeprefix(PLAIN)


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
