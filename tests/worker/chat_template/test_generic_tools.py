"""Tools described in the system message, for templates without tool support."""

import json

import pytest

from appliance.engine.types import CalledFunction, ChatMessage, ToolCall
from appliance.worker.chat_template.generic_tools import describe_tools_in_text
from appliance.worker.parsers.detect import OutputFormat
from appliance.worker.parsers.known import GENERIC_SYNTAX
from tests.worker.parsers.replies import as_message as parsed
from tests.worker.parsers.replies import read

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object"}, "strict": True},
}
USER = ChatMessage("user", "Hi")
ARGUMENTS = '{"city": "Köln"}'
CALL = ToolCall("call_1", CalledFunction("weather", ARGUMENTS))


@pytest.mark.parametrize(
    "first", [[USER], [ChatMessage("system", "Be kind."), USER], [ChatMessage("assistant", "Hi.")]]
)
def test_the_system_message_says_what_there_is(first: list[ChatMessage]) -> None:
    out = describe_tools_in_text(first, [WEATHER])
    assert out[0].role == "system"
    assert json.dumps({"name": "weather", "parameters": {"type": "object"}}) in out[0].content
    assert all(message.content in "\n".join(m.content for m in out) for message in first)


def test_calls_are_shown_as_they_are_to_be_written() -> None:
    called = ChatMessage("assistant", "I look.", tool_calls=[CALL, CALL])
    results = [ChatMessage("tool", text, tool_call_id="call_1") for text in ("7", "8")]
    _, _, reply, answer = describe_tools_in_text([USER, called, *results], [WEATHER])
    assert (reply.role, reply.tool_calls, answer.role) == ("assistant", None, "user")
    assert answer.content.index("7") < answer.content.index("8")
    found = parsed(read(OutputFormat(GENERIC_SYNTAX).parser("", [WEATHER]), [reply.content]))
    assert found == {"content": "I look.", "reasoning": "", "calls": [("weather", ARGUMENTS)]}


def test_without_tools_messages_stay_unchanged() -> None:
    assert describe_tools_in_text([USER], []) == [USER]
