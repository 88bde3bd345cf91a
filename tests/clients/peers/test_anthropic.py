"""Messages in Anthropic's form, as vLLM's, SGLang's and Ollama's tests send them."""

import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.clients.peers.rows import FAKE, REAL, WEATHER, Row, absent, count, schema, some
from tests.clients.scripted import call, thought

PATH = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
USER: Any = [{"role": "user", "content": "What is the capital of France? In a few words."}]
TOOL: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": WEATHER["function"]["parameters"],
}
TEXT = "content.0.text"
USED: Any = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Paris"}}


def short(**fields: Any) -> Any:
    """A short request to the real model."""
    return {"model": REAL, "max_tokens": 6, "messages": USER, "temperature": 0, **fields}


def echoed(text: str, *before: Any, **fields: Any) -> Any:
    """A request that the scripted model answers with a text."""
    messages = [*before, {"role": "user", "content": f"echo:{text}"}]
    return {"model": FAKE, "max_tokens": 400, "messages": messages, **fields}


def parts(*blocks: Any, role: str = "user") -> Any:
    return {"role": role, "content": list(blocks)}


def text(words: str) -> Any:
    return {"type": "text", "text": words}


def result(content: Any, **fields: Any) -> Any:
    return parts({"type": "tool_result", "tool_use_id": "call_1", "content": content, **fields})


def refused(*words: str, kind: str = "invalid_request_error") -> Mapping[str, Any]:
    """An error in Anthropic's form that has these words."""
    return {
        "type": "error",
        "error.type": kind,
        "error.message": lambda it: isinstance(it, str) and all(word in it for word in words),
    }


def ordered(events: Any) -> bool:
    """Blocks open and close one after the other, in a message that opens and closes."""
    names = [one["type"] for one in events if one["type"] != "ping"]
    if names[0] != "message_start" or names[-2:] != ["message_delta", "message_stop"]:
        return False
    open_block = None
    seen = -1
    for one in events:
        match one["type"]:
            case "content_block_start":
                if open_block is not None or one["index"] != seen + 1:
                    return False
                open_block = seen = one["index"]
            case "content_block_delta" if one["index"] != open_block:
                return False
            case "content_block_stop":
                if one["index"] != open_block:
                    return False
                open_block = None
    return open_block is None


def deltas(kind: str) -> Any:
    """The pieces of that kind of a stream's blocks."""
    return lambda events: [
        next(value for name, value in one["delta"].items() if name != "type")
        for one in events
        if one["type"] == "content_block_delta" and one["delta"]["type"] == kind
    ]


REAL_ROWS = (
    Row(
        "SGLang",
        "the fields of an answer",
        short(),
        {
            "type": "message",
            "role": "assistant",
            "id": re.compile("^msg_"),
            "model": REAL,
            "content": count(1),
            "content.0.type": "text",
            TEXT: some,
            "stop_reason": re.compile("^(end_turn|max_tokens)$"),
            "stop_sequence": absent,
            "usage.input_tokens": int,
            "usage.output_tokens": some,
            "@content-type": re.compile("^application/json"),
        },
    ),
    Row(
        "SGLang",
        "several turns",
        short(
            messages=[
                {"role": "user", "content": "I am Alice."},
                {"role": "assistant", "content": "Hello!"},
                {"role": "user", "content": "Who am I?"},
            ]
        ),
        {TEXT: str},
    ),
    Row("SGLang", "a system prompt", short(system="You speak French."), {TEXT: some}),
    Row(
        "SGLang",
        "a system prompt in blocks",
        short(system=[text("Help."), text("Be brief.")]),
        {TEXT: some},
    ),
    Row(
        "SGLang",
        "few tokens",
        short(max_tokens=3),
        {"stop_reason": "max_tokens", "usage.output_tokens": 3},
    ),
    Row("SGLang", "where to stop", short(stop_sequences=["\n"]), {"type": "message"}),
    Row("SGLang", "top_p and top_k", short(temperature=0.7, top_p=0.9, top_k=40), {TEXT: str}),
    Row("SGLang", "content in blocks", short(messages=[parts(text("What is 2+2?"))]), {TEXT: some}),
    Row(
        "SGLang",
        "a stream",
        short(stream=True),
        {
            "@content-type": re.compile("^text/event-stream"),
            "events": ordered,
            "events.0.message.type": "message",
            "events.0.message.role": "assistant",
            "events.0.message.content": [],
            "events.0.message.usage": dict,
        },
    ),
    Row(
        "SGLang",
        "a stream of several turns",
        short(
            stream=True,
            system="You are a pirate.",
            messages=[
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello!"},
                {"role": "user", "content": "Bye"},
            ],
        ),
        {"events": ordered},
    ),
    Row(
        "vLLM",
        "some tool is called",
        short(tools=[TOOL], tool_choice={"type": "any"}, max_tokens=80),
        {
            "stop_reason": "tool_use",
            "content.0.type": "tool_use",
            "content.0.name": "get_weather",
            "content.0.input": dict,
            "content.0.id": some,
        },
    ),
    Row(
        "SGLang",
        "a tool is called by name",
        short(tools=[TOOL], max_tokens=80, tool_choice={"type": "tool", "name": "get_weather"}),
        {"content.0.input.city": str},
    ),
    Row(
        "SGLang",
        "a call in a stream",
        short(tools=[TOOL], stream=True, max_tokens=80, tool_choice={"type": "any"}),
        {"events": ordered, "events.1": lambda it: it["type"] in ("ping", "content_block_start")},
    ),
    Row(
        "SGLang",
        "tools that may not be called",
        short(tools=[TOOL], tool_choice={"type": "none"}),
        {"content.0.type": "text"},
    ),
    Row(
        "Ollama",
        "a schema",
        short(
            max_tokens=60,
            output_config={
                "format": {"type": "json_schema", "schema": schema(year={"type": "integer"})}
            },
        ),
        {TEXT: re.compile('^{ ?"year"')},
    ),
    Row(
        "vLLM",
        "metadata, and fields nobody knows",
        short(metadata={"user_id": "me"}, foo={"a": 1}),
        {TEXT: str, "@X-Appliance-Warning": re.compile("foo")},
    ),
    # Refused.
    Row("SGLang", "fewer tokens than none", short(max_tokens=-1), refused("max_tokens"), 400),
    Row("SGLang", "no tokens", short(max_tokens=0), refused("max_tokens"), 400),
    Row("SGLang", "no messages", short(messages=[]), refused("messages"), 400),
    Row("Ollama", "no model", {"max_tokens": 5, "messages": USER}, refused("model"), 400),
    Row("Ollama", "no max_tokens", {"model": REAL, "messages": USER}, refused("max_tokens"), 400),
    Row("Ollama", "messages missing", {"model": REAL, "max_tokens": 5}, refused("messages"), 400),
    Row(
        "Ollama",
        "a call without an id",
        short(messages=[parts({"type": "tool_use", "name": "test"}, role="assistant")]),
        refused("id"),
        400,
    ),
    Row("Ollama", "no JSON", b"{invalid", refused("JSON"), 400),
    Row("vLLM", "a list as the body", b"[1]", refused(), 400),
    Row(
        "vLLM",
        "an unknown role",
        short(messages=[{"role": "bot", "content": "Hi"}]),
        refused("role"),
        400,
    ),
    Row(
        "vLLM",
        "a block without a type",
        short(messages=[parts({"text": "Hi"})]),
        refused("type"),
        400,
    ),
    Row(
        "vLLM",
        "content that is a number",
        short(messages=[{"role": "user", "content": 1}]),
        refused("content"),
        400,
    ),
    Row("SGLang", "a temperature above 2", short(temperature=3), refused("temperature"), 400),
    Row(
        "vLLM",
        "a call without tools",
        short(tool_choice={"type": "any"}),
        refused("tool_choice"),
        400,
    ),
    Row(
        "vLLM",
        "a call of a tool that isn't there",
        short(tools=[TOOL], tool_choice={"type": "tool", "name": "none"}),
        refused("tool"),
        400,
    ),
    Row(
        "vLLM",
        "a call of no tool by name",
        short(tools=[TOOL], tool_choice={"type": "tool"}),
        refused("tool_choice.name"),
        400,
    ),
    Row(
        "vLLM",
        "an image",
        short(
            messages=[
                parts(
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "abcd"},
                    }
                )
            ]
        ),
        refused("images"),
        400,
    ),
    Row(
        "SGLang",
        "an image as a result",
        short(
            messages=[
                USER[0],
                parts(USED, role="assistant"),
                result(
                    [
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "abcd"},
                        }
                    ]
                ),
            ]
        ),
        refused("images"),
        400,
    ),
    Row(
        "Ollama",
        "a model that isn't here",
        short(model="nothing"),
        refused("nothing", kind="not_found_error"),
        404,
    ),
    Row(
        "vLLM",
        "a prompt beyond the context",
        short(messages=[{"role": "user", "content": "hello " * 9000}]),
        refused("prompt is too long"),
        400,
    ),
    # How long a prompt is.
    Row(
        "SGLang",
        "tokens of a prompt",
        {"model": REAL, "messages": USER},
        {"input_tokens": lambda it: 20 < it < 60},
        path=COUNT,
    ),
    Row(
        "SGLang",
        "tokens with a system prompt",
        {"model": REAL, "messages": USER, "system": "word " * 50},
        {"input_tokens": lambda it: it > 60},
        path=COUNT,
    ),
    Row(
        "SGLang",
        "tokens with tools",
        {"model": REAL, "messages": USER, "tools": [TOOL]},
        {"input_tokens": lambda it: it > 60},
        path=COUNT,
    ),
    Row(
        "SGLang",
        "tokens of no messages",
        {"model": REAL, "messages": []},
        refused("messages"),
        400,
        path=COUNT,
    ),
)

SCRIPTED = (
    Row(
        "vLLM",
        "a text",
        echoed("Hello there!"),
        {TEXT: "Hello there!", "stop_reason": "end_turn", "content": count(1)},
    ),
    Row(
        "Ollama",
        "a stop",
        echoed("one two", stop_sequences=["two", "END"]),
        {TEXT: "one ", "stop_reason": "stop_sequence", "stop_sequence": "two"},
    ),
    Row(
        "SGLang",
        "a call",
        echoed(call("get_weather", city="Rome"), tools=[TOOL]),
        {"stop_reason": "tool_use", "content": count(1), "content.0.input": {"city": "Rome"}},
    ),
    Row(
        "SGLang",
        "text, then a call",
        echoed("I look.\n" + call("get_weather", city="Rome"), tools=[TOOL]),
        {"content": lambda it: [one["type"] for one in it] == ["text", "tool_use"]},
    ),
    Row(
        "SGLang",
        "two calls",
        echoed(
            call("get_weather", city="Rome") + "\n" + call("get_weather", city="Oslo"), tools=[TOOL]
        ),
        {
            "content": lambda it: (
                [one["input"]["city"] for one in it] == ["Rome", "Oslo"]
                and it[0]["id"] != it[1]["id"]
            )
        },
    ),
    Row(
        "SGLang",
        "one call at a time",
        echoed(
            call("get_weather", city="Rome") + "\n" + call("get_weather", city="Oslo"),
            tools=[TOOL],
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        ),
        {"content": count(1)},
    ),
    Row(
        "SGLang",
        "two calls in a stream",
        echoed(
            call("get_weather", city="Rome") + "\n" + call("get_weather", city="Oslo"),
            tools=[TOOL],
            stream=True,
        ),
        {
            "events": lambda it: (
                ordered(it)
                and "".join(deltas("input_json_delta")(it)).replace(" ", "")
                == '{"city":"Rome"}{"city":"Oslo"}'
            )
        },
    ),
    Row(
        "SGLang",
        "a thought",
        echoed(thought("Hm.", "Yes."), thinking={"type": "enabled", "budget_tokens": 1024}),
        {
            "content.0.type": "thinking",
            "content.0.thinking": re.compile("Hm"),
            "content.0.signature": str,
            "content.1.text": "Yes.",
        },
    ),
    Row(
        "SGLang",
        "a thought in a stream",
        echoed(thought("Hm.", "Yes."), stream=True),
        {
            "events": lambda it: (
                ordered(it)
                and "".join(deltas("text_delta")(it)) == "Yes."
                and "Hm." in "".join(deltas("thinking_delta")(it))
            )
        },
    ),
    Row(
        "SGLang",
        "no thought wanted",
        echoed("Yes.", thinking={"type": "disabled"}),
        {"content": count(1), TEXT: "Yes."},
    ),
    Row(
        "SGLang",
        "thoughts go back",
        echoed(
            "Bye.",
            {"role": "user", "content": "Hi"},
            parts(
                {"type": "thinking", "thinking": "Let me see.", "signature": ""},
                text("Hello."),
                role="assistant",
            ),
        ),
        {TEXT: "Bye."},
    ),
    Row(
        "SGLang",
        "hidden thoughts go back",
        echoed(
            "Bye.",
            {"role": "user", "content": "Hi"},
            parts({"type": "redacted_thinking", "data": "xyz"}, text("Hello."), role="assistant"),
        ),
        {TEXT: "Bye."},
    ),
    Row(
        "Ollama",
        "a result",
        echoed("Warm.", USER[0], parts(USED, role="assistant"), result("Sunny, 22°C")),
        {TEXT: "Warm."},
    ),
    Row(
        "vLLM",
        "a result in blocks",
        echoed(
            "Warm.", USER[0], parts(USED, role="assistant"), result([text("Sunny"), text("22°C")])
        ),
        {TEXT: "Warm."},
    ),
    Row(
        "vLLM",
        "a result that is an error",
        echoed(
            "Oh.", USER[0], parts(USED, role="assistant"), result("no such city", is_error=True)
        ),
        {TEXT: "Oh."},
    ),
    Row(
        "vLLM",
        "an empty result",
        echoed(
            "Oh.",
            USER[0],
            parts(USED, role="assistant"),
            parts({"type": "tool_result", "tool_use_id": "call_1"}),
        ),
        {TEXT: "Oh."},
    ),
    Row(
        "vLLM",
        "a result and words",
        echoed(
            "Oh.",
            USER[0],
            parts(text("I look."), USED, role="assistant"),
            parts({"type": "tool_result", "tool_use_id": "call_1", "content": "20"}, text("Well?")),
        ),
        {TEXT: "Oh."},
    ),
    Row(
        "vLLM",
        "a system message in the middle",
        echoed("Yes.", USER[0], {"role": "system", "content": "It is late."}),
        {TEXT: "Yes."},
    ),
    Row(
        "SGLang",
        "cache marks",
        echoed(
            "Yes.",
            system=[{**text("Help."), "cache_control": {"type": "ephemeral"}}],
            tools=[{**TOOL, "cache_control": {"type": "ephemeral"}}],
        ),
        {
            TEXT: "Yes.",
            "usage.cache_creation_input_tokens": int,
            "usage.cache_read_input_tokens": int,
        },
    ),
    Row(
        "Ollama",
        "a tool of Anthropic's servers",
        echoed("Yes.", tools=[{"type": "web_search_20250305", "name": "web_search"}]),
        {TEXT: "Yes.", "@X-Appliance-Warning": re.compile("web_search")},
    ),
    Row(
        "SGLang",
        "adaptive thinking",
        echoed("Yes.", thinking={"type": "adaptive"}, output_config={"effort": "max"}),
        {"content": lambda it: it[-1]["text"] == "Yes."},
    ),
    Row("Ollama", "a stream of no words", echoed("", stream=True), {"events": ordered}),
)


@pytest.mark.parametrize("row", REAL_ROWS, ids=str)
def test_the_real_model(real: httpx.Client, row: Row) -> None:
    row.check(real, PATH)


@pytest.mark.parametrize("row", SCRIPTED, ids=str)
def test_the_scripted_model(fake: httpx.Client, row: Row) -> None:
    row.check(fake, PATH)


def test_a_body_of_no_type(fake: httpx.Client) -> None:
    """SGLang: without a content type, what isn't JSON is refused."""
    response = fake.post(PATH, content=b"not json")
    assert response.status_code in (400, 415)
    assert response.json()["type"] == "error"
