"""Tools for models whose chat template does not support them: described in text. Pure Python.

The model is instructed to write calls in the syntax `known.GENERIC_SYNTAX`, which most models know.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from appliance.engine.types import ChatMessage
from appliance.worker.parsers.known import GENERIC_SYNTAX, written
from appliance.worker.parsers.syntax import CallSyntax

_PROMPT = """You can call functions. To call one, reply with these three lines and nothing else:
<tool_call>
{{"name": "the function's name", "arguments": {{"an argument": "its value"}}}}
</tool_call>
You are then given its result. If you need no function, answer as usual. These are the functions:
{functions}"""


def describe_tools_in_text(
    messages: Sequence[ChatMessage], tools: Iterable[Mapping[str, Any]]
) -> list[ChatMessage]:
    """The messages with the tools in the system message, and with calls and results as text."""
    out = _as_text(messages)
    functions = "\n".join(_line(tool) for tool in tools)
    if not functions:
        return out
    if not out or out[0].role != "system":
        out.insert(0, ChatMessage("system", ""))
    texts = [out[0].content, _PROMPT.format(functions=functions)]
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
            out.append(with_calls_as_text(message, GENERIC_SYNTAX))
        else:
            out.append(message)
        after_result = message.role == "tool"
    return out


def with_calls_as_text(message: ChatMessage, syntax: CallSyntax) -> ChatMessage:
    """The same message with its calls in its text."""
    if not message.tool_calls:
        return message
    calls = [(call.function.name, call.function.arguments or "{}") for call in message.tool_calls]
    text = "\n".join(filter(None, [message.content, written(syntax, calls)]))
    return ChatMessage(message.role, text, reasoning_content=message.reasoning_content)
