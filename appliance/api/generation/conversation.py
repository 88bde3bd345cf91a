"""A chat as any dialect has it → messages that every chat template takes.

Templates differ in what they refuse: a second system message, one in the middle, two messages of
the same role in a row. So the system messages at the beginning become one; later ones stand where
they were, as words of the user's, which keeps the prompt's beginning as it was; and neighbours of
one role become one message.
"""

from typing import Any

import msgspec

from appliance.engine.types import CalledFunction, ChatMessage, ToolCall

BETWEEN = "\n\n"
"""What joins texts that were apart."""


class Conversation:
    """Collects messages in their order."""

    def __init__(self) -> None:
        self._system: list[str] = []
        self._messages: list[ChatMessage] = []

    def system(self, text: str) -> None:
        """A system message, wherever it stands."""
        if not text:
            return
        if self._messages:
            self.user(text)
        else:
            self._system.append(text)

    def user(self, text: str) -> None:
        """What a person says."""
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == "user":
            text = BETWEEN.join(filter(None, (last.content, text)))
            self._messages[-1] = ChatMessage("user", text)
        else:
            self._messages.append(ChatMessage("user", text))

    def assistant(
        self, text: str = "", *, reasoning: str = "", calls: list[ToolCall] | None = None
    ) -> None:
        """The model's text and calls."""
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == "assistant":
            text = BETWEEN.join(filter(None, (last.content, text)))
            reasoning = BETWEEN.join(filter(None, (last.reasoning_content, reasoning)))
            calls = [*(last.tool_calls or []), *(calls or [])]
            self._messages.pop()
        message = ChatMessage(
            "assistant", text, reasoning_content=reasoning or None, tool_calls=calls or None
        )
        self._messages.append(message)

    def tool(self, call_id: str, content: str) -> None:
        """What a call gave."""
        self._messages.append(ChatMessage("tool", content, tool_call_id=call_id))

    def unanswered(self, name: str | None = None) -> ToolCall | None:
        """The first of the last calls, of that name if one is given, that has no result yet."""
        given = set()
        for message in reversed(self._messages):
            if message.role == "tool":
                given.add(message.tool_call_id)
                continue
            open_calls = [call for call in message.tool_calls or [] if call.id not in given]
            return next((it for it in open_calls if name in (None, it.function.name)), None)
        return None

    @property
    def length(self) -> int:
        """Characters of all texts."""
        return sum(map(len, self._system)) + sum(len(it.content) for it in self._messages)

    @property
    def ends_with_beginning(self) -> bool:
        """The last message is the beginning of a reply, which can go on."""
        last = self._messages[-1] if self._messages else None
        return last is not None and last.role == "assistant" and not last.tool_calls

    def messages(self) -> list[ChatMessage]:
        """All of them, the system message first."""
        system = BETWEEN.join(self._system)
        return [*([ChatMessage("system", system)] if system else []), *self._messages]


def tool_call(id: str, name: str, arguments: Any) -> ToolCall:
    """A call with arguments that are an object, written as models write them."""
    # msgspec's own text has no blanks, which would not be found in the prefix cache.
    text = msgspec.json.format(msgspec.json.encode(arguments), indent=0).decode()
    return ToolCall(id, CalledFunction(name, text))


def function_tool(name: str, description: str | None, parameters: Any) -> dict[str, Any]:
    """A function that may be called, in OpenAI's shape."""
    function: dict[str, Any] = {"name": name}
    if description:
        function["description"] = description
    if parameters:
        function["parameters"] = parameters
    return {"type": "function", "function": function}


def named_choice(name: str) -> dict[str, Any]:
    """A `tool_choice` that names the function."""
    return {"type": "function", "function": {"name": name}}
