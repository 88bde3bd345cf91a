"""Chat completions of a scripted model: calls, thoughts, stops and streams, as vLLM's, SGLang's and
Ollama's tests ask for them."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.clients.peers.rows import FAKE, WEATHER, Row, absent, count, text_of
from tests.clients.scripted import call, thought
from tests.running import Running

PATH = "/v1/chat/completions"
CONTENT = "choices.0.message.content"


def echoed(text: str, **fields: Any) -> Any:
    """A request that the scripted model answers with a text."""
    messages = [{"role": "user", "content": f"echo:{text}"}]
    return {"model": FAKE, "messages": messages, **fields}


SCRIPTED = (
    Row(
        "vLLM",
        "stopped at a text",
        echoed("one two three", stop="two"),
        {CONTENT: "one ", "choices.0.finish_reason": "stop"},
    ),
    Row(
        "vLLM",
        "stopped at the first of several",
        echoed("one two three", stop=["three", "two"]),
        {CONTENT: "one ", "choices.0.finish_reason": "stop"},
    ),
    Row(
        "SGLang",
        "ended by the model",
        echoed("Paris"),
        {CONTENT: "Paris", "choices.0.finish_reason": "stop"},
    ),
    Row(
        "vLLM",
        "a call by its own choice",
        echoed(call("get_weather", city="Rome"), tools=[WEATHER]),
        {
            "choices.0.finish_reason": "tool_calls",
            "choices.0.message.tool_calls.0.function.name": "get_weather",
            CONTENT: absent,
        },
    ),
    Row(
        "vLLM",
        "two calls at once",
        echoed(
            call("get_weather", city="Rome") + "\n" + call("get_weather", city="Oslo"),
            tools=[WEATHER],
        ),
        {
            "choices.0.message.tool_calls": lambda it: (
                [json.loads(one["function"]["arguments"])["city"] for one in it] == ["Rome", "Oslo"]
                and it[0]["id"] != it[1]["id"]
            )
        },
    ),
    Row(
        "vLLM",
        "one call at a time",
        echoed(
            call("get_weather", city="Rome") + "\n" + call("get_weather", city="Oslo"),
            tools=[WEATHER],
            parallel_tool_calls=False,
        ),
        {"choices.0.message.tool_calls": count(1)},
    ),
    Row(
        "vLLM",
        "a call as text, where none is allowed",
        echoed(call("get_weather", city="Rome"), tools=[WEATHER], tool_choice="none"),
        {"choices.0.message.tool_calls": absent},
    ),
    Row(
        "vLLM",
        "a thought apart",
        echoed(thought("Hm.", "Yes.")),
        {CONTENT: "Yes.", "choices.0.message.reasoning_content": re.compile("^Hm")},
    ),
    Row(
        "SGLang",
        "a thought, then a call",
        echoed(thought("Hm.", call("get_weather", city="Rome")), tools=[WEATHER]),
        {
            "choices.0.message.reasoning_content": re.compile("Hm"),
            "choices.0.message.tool_calls": count(1),
        },
    ),
    Row(
        "SGLang",
        "no thought wanted",
        echoed("Yes.", reasoning_effort="none"),
        {CONTENT: "Yes.", "choices.0.message.reasoning_content": absent},
    ),
    Row(
        "Ollama",
        "a call without content, and its result",
        {
            "model": FAKE,
            "messages": [
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "abc",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "abc", "content": "20 degrees"},
                {"role": "user", "content": "echo:Warm."},
            ],
        },
        {CONTENT: "Warm."},
    ),
    Row(
        "Ollama",
        "a call with text and a thought before",
        {
            "model": FAKE,
            "tools": [WEATHER],
            "messages": [
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": "I look.",
                    "reasoning_content": "Let me see.",
                    "tool_calls": [
                        {
                            "id": "abc",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "abc", "name": "get_weather", "content": "20"},
                {"role": "user", "content": "echo:Warm."},
            ],
        },
        {CONTENT: "Warm."},
    ),
    Row("vLLM", "a character of several bytes", echoed("I ♥ 🐱!"), {CONTENT: "I ♥ 🐱!"}),
    Row(
        "Ollama",
        "names of people",
        {"model": FAKE, "messages": [{"role": "user", "name": "Ann", "content": "echo:Hi"}]},
        {CONTENT: "Hi"},
    ),
    Row(
        "vLLM",
        "a stream without usage",
        echoed("Hi", stream=True),
        {"events": lambda it: all(absent(one.get("usage")) for one in it)},
    ),
    Row(
        "vLLM",
        "a stream with usage off",
        echoed("Hi", stream=True, stream_options={"include_usage": False}),
        {"events": lambda it: text_of(it) == "Hi" and not any(one.get("usage") for one in it)},
    ),
    Row(
        "vLLM",
        "a stream of empty options",
        echoed("Hi", stream=True, stream_options={}),
        {"events": lambda it: not any(one.get("usage") for one in it)},
    ),
    Row(
        "vLLM",
        "a stream with usage",
        echoed("Hi", stream=True, stream_options={"include_usage": True}),
        {
            "events": lambda it: (
                it[-1]["choices"] == [] and not any(one.get("usage") for one in it[:-1])
            ),
            "events.0.object": "chat.completion.chunk",
            "events.0.choices.0.delta.role": "assistant",
        },
    ),
)


@pytest.mark.parametrize("row", SCRIPTED, ids=str)
def test_the_scripted_model(fake: httpx.Client, row: Row) -> None:
    row.check(fake, PATH)


@pytest.fixture(scope="module")
def scripts(scripted: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_calls_in_their_order(scripts: openai.OpenAI) -> None:
    """vLLM, Ollama: text, then one call after the other, each by its index."""
    text = "I look.\n" + "\n".join(call("get_weather", city=city) for city in ("Rome", "Oslo"))
    chunks: Any = scripts.chat.completions.create(**echoed(text, tools=[WEATHER], stream=True))
    seen: list[int] = []
    arguments: dict[int, str] = defaultdict(str)
    ids: dict[int, list[str]] = defaultdict(list)
    for chunk in chunks:
        delta = chunk.choices[0].delta
        assert not (delta.content or "").strip() or not seen, "text after a call"
        for one in delta.tool_calls or ():
            seen.append(one.index)
            arguments[one.index] += one.function.arguments or ""
            ids[one.index] += [one.id] if one.id else []
    assert seen == sorted(seen)
    assert [json.loads(it)["city"] for it in arguments.values()] == ["Rome", "Oslo"]
    assert [len(it) for it in ids.values()] == [1, 1]
    assert ids[0] != ids[1]


def test_a_thought_comes_before_the_answer(scripts: openai.OpenAI) -> None:
    """vLLM, SGLang: reasoning and content come in fields of their own, one after the other."""
    chunks: Any = scripts.chat.completions.create(
        **echoed(thought("Hm. Well.", "Yes."), stream=True)
    )
    order = ""
    for chunk in chunks:
        delta = chunk.choices[0].delta
        order += "r" if getattr(delta, "reasoning_content", None) else ""
        order += "c" if delta.content else ""
    assert re.fullmatch("r+c+", order)
