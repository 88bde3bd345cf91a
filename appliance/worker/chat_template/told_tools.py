"""Tools for models whose chat template knows none: they are told in words. Pure Python.

The model is told to write calls as `known.HERMES` has them, which most models have seen.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from appliance.engine.types import ChatMessage, ToolCall

_TOLD = """You can call functions. To call one, reply with these three lines and nothing else:
<tool_call>
{{"name": "the function's name", "arguments": {{"an argument": "its value"}}}}
</tool_call>
You are then given its result. If you need no function, answer as usual. These are the functions:
{functions}"""


def told(messages: Sequence[ChatMessage], tools: Iterable[Mapping[str, Any]]) -> list[ChatMessage]:
    """The messages with the tools in the system message, and with calls and results as text."""
    out = _as_text(messages)
    functions = "\n".join(_line(tool) for tool in tools)
    if not functions:
        return out
    if not out or out[0].role != "system":
        out.insert(0, ChatMessage("system", ""))
    texts = [out[0].content, _TOLD.format(functions=functions)]
    out[0] = ChatMessage("system", "\n\n".join(text for text in texts if text))
    return out


def _line(tool: Mapping[str, Any]) -> str:
    function = {key: value for key, value in tool["function"].items() if key != "strict"}
    return json.dumps(function, ensure_ascii=False)


def _as_text(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    out: list[ChatMessage] = []
    after_result = False
    for message in messages:
        if message.role == "tool":
            text = f"<tool_response>\n{message.content}\n</tool_response>"
            if after_result:
                text = f"{out.pop().content}\n{text}"
            out.append(ChatMessage("user", text))
        elif message.tool_calls:
            calls = "\n".join(map(_call, message.tool_calls))
            text = f"{message.content}\n{calls}" if message.content else calls
            thought = message.reasoning_content
            out.append(ChatMessage("assistant", text, reasoning_content=thought))
        else:
            out.append(message)
        after_result = message.role == "tool"
    return out


def _call(call: ToolCall) -> str:
    name = json.dumps(call.function.name, ensure_ascii=False)
    arguments = call.function.arguments or "{}"
    return f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>'
