"""Messages and tools in the shape that chat templates were written for. Pure Python.

That is what Hugging Face's libraries hand to a template, which is OpenAI's shape but for a few
things that some templates insist on.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_WANTS_SHORT_IDS = re.compile(r"length\s*!=\s*9\b")


def _probe(arguments: Any) -> list[dict[str, Any]]:
    function = {"name": "probe", "arguments": arguments}
    call = {"id": "call00000", "type": "function", "function": function}
    return [
        {"role": "user", "content": "-"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]


def wants_short_ids(template: str) -> bool:
    """Whether a template refuses ids of calls that don't have nine characters, as Mistral's do."""
    return _WANTS_SHORT_IDS.search(template) is not None


def takes_text(render: Callable[[list[dict[str, Any]]], str]) -> bool:
    """Whether a template wants arguments as text, going by what it makes of a chat with a call.

    Text is better when it is possible: it is what the model wrote, to the letter, so that the KV
    cache fits. Many templates turn arguments into JSON themselves, and text would be quoted twice;
    others have a notation of their own for objects, and text would stand in it as JSON.
    """
    as_text = render(_probe('{"probe": 1}'))
    if '{"probe": 1}' not in as_text or '{{"probe"' in as_text:
        return False
    try:
        as_object = render(_probe({"probe": 1}))
    except Exception:  # noqa: BLE001 - a template may raise anything
        return True
    return any(shown in as_object for shown in ('"probe": 1', '"probe":1', "'probe': 1"))


def for_template(
    messages: Sequence[Mapping[str, Any]], *, text_arguments: bool, short_ids: bool
) -> list[dict[str, Any]]:
    """Messages in OpenAI's shape → what a template expects.

    `content` is never None; arguments of calls are text or objects; ids have nine characters where
    that is wanted, the same for a call and its result.
    """

    def id_of(id: str) -> str:
        return hashlib.sha256(id.encode()).hexdigest()[:9] if short_ids and len(id) != 9 else id

    def call(given: Mapping[str, Any]) -> dict[str, Any]:
        function = dict(given["function"])
        if not text_arguments:
            function["arguments"] = _object(function.get("arguments"))
        return {**given, "id": id_of(given.get("id", "")), "function": function}

    out = []
    for given in messages:
        message = {key: value for key, value in given.items() if value is not None}
        message.setdefault("content", "")
        calls = message.pop("tool_calls", None)
        if calls:
            message["tool_calls"] = [call(each) for each in calls]
        if "tool_call_id" in message:
            message["tool_call_id"] = id_of(message["tool_call_id"])
        # gpt-oss's name for it; its template takes either that or content beside a call.
        if "reasoning_content" in message and not (calls and message["content"]):
            message["thinking"] = message["reasoning_content"]
        if "reasoning_content" in message:
            message["reasoning"] = message["reasoning_content"]
        out.append(message)
    return out


def tools_for_template(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Tools in OpenAI's shape → what a template expects: a description and parameters in each,
    without what is meant for the server. None for none."""
    out = []
    for tool in tools:
        function = {key: value for key, value in tool["function"].items() if key != "strict"}
        function["description"] = function.get("description") or ""
        function["parameters"] = function.get("parameters") or {"type": "object", "properties": {}}
        out.append({**tool, "function": function})
    return out or None


def _object(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    return value if isinstance(value, dict) else arguments
