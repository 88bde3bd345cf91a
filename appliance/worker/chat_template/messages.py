"""Messages and tools in the shape that chat templates were written for. Pure Python.

That is what Hugging Face's libraries hand to a template, which is OpenAI's shape but for a few
things that some templates insist on.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_WANTS_SHORT_IDS = re.compile(r"length\s*!=\s*9\b")

PROBE = [
    {"role": "user", "content": "-"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call00000",
                "type": "function",
                "function": {"name": "probe", "arguments": '{"probe": 1}'},
            }
        ],
    },
]
"""A chat with a call whose arguments are text."""


def wants_short_ids(template: str) -> bool:
    """Whether a template refuses ids of calls that don't have nine characters, as Mistral's do."""
    return _WANTS_SHORT_IDS.search(template) is not None


def takes_text(rendered: str) -> bool:
    """Whether a template that made this of `PROBE` wants arguments as text.

    Text is better when it is possible: it is what the model wrote, to the letter, so that the KV
    cache fits. Many templates turn arguments into JSON themselves, and text would be quoted twice.
    """
    return '{"probe": 1}' in rendered


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
