"""Unusual message sequences are accepted, with each of llama.cpp's templates."""

import json
from typing import Any

import pytest
from msgspec import convert

from appliance.engine.types import ChatMessage
from appliance.errors import RequestError
from appliance.worker.chat_template.generic_tools import describe_tools_in_text
from tests.worker.llama_sources import sources
from tests.worker.parsers.test_templates import TOOLS, rendered, style

Message = dict[str, Any]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def assistant(text: str, *ids: str, thought: str = "") -> Message:
    message: Message = {"role": "assistant", "content": text}
    if ids:
        function = {"name": "get_weather", "arguments": json.dumps({"text": "Ulm"})}
        message["tool_calls"] = [{"id": id, "type": "function", "function": function} for id in ids]
    return message | {"reasoning_content": thought} if thought else message


def result(id: str, text: str) -> Message:
    return {"role": "tool", "tool_call_id": id, "name": "get_weather", "content": text}


A, B = "call00001", "call00002"
CHATS: dict[str, list[Message]] = {
    "stopped before the first word": [user("one?"), user("two?")],
    "an empty reply": [user("one?"), assistant(""), user("two?")],
    "a thought that was cut": [user("one?"), assistant("", thought="hm"), user("two?")],
    "a system prompt": [system("be kind"), user("one?")],
    "a system prompt and a stop": [system("be kind"), user("one?"), user("two?")],
    "two system prompts": [system("be kind"), system("be brief"), user("one?")],
    "another system prompt later": [
        *(system("be kind"), user("one?"), assistant("yes"), system("be brief"), user("two?"))
    ],
    "two replies in a row": [user("one?"), assistant("yes"), assistant("no"), user("two?")],
    "a reply first": [assistant("hello"), user("one?")],
    "one call": [user("one?"), assistant("", A), result(A, "7 degrees"), user("two?")],
    "two calls": [
        *(user("one?"), assistant("", A, B), result(A, "7 degrees"), result(B, "8 degrees")),
        user("two?"),
    ],
    "a result to answer": [user("one?"), assistant("", A), result(A, "7 degrees")],
}


@pytest.mark.parametrize("name", sorted(sources("models/templates", ".jinja")))
def test_every_next_turn_is_answered(name: str) -> None:
    refused = {}
    format = style(name)
    knows_tools = format.calls is not None or format.harmony
    for what, chat in CHATS.items():
        tools = TOOLS if any(m["role"] == "tool" for m in chat) else None
        messages: Any = chat
        if tools and not knows_tools:
            messages, tools = describe_tools_in_text(convert(chat, list[ChatMessage]), tools), None
        try:
            text = rendered(name, messages, tools, {})
        except RequestError as ex:
            refused[name, what] = ex.message
            continue
        contents = [m["content"] for m in chat if m["role"] != "assistant"]
        assert all(each in text for each in contents), (what, text)
    assert refused == {}
