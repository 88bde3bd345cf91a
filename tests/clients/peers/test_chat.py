"""Chat completions, as vLLM's, SGLang's and Ollama's tests ask for them."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.clients.peers.rows import (
    ADD,
    REAL,
    WEATHER,
    Row,
    absent,
    count,
    refused,
    schema,
    some,
)
from tests.running import Running

PATH = "/v1/chat/completions"
SUM: Any = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is 1+1?"},
]
COLD: Any = {"model": REAL, "messages": SUM, "temperature": 0, "max_tokens": 5}
IMAGE = "data:image/png;base64,iVBORw0KGgo="


def cold(**fields: Any) -> Any:
    """A short request to the real model; `messages` may be others."""
    return {**COLD, **fields}


def without(name: str) -> Any:
    return {key: value for key, value in COLD.items() if key != name}


def format(kind: Any) -> Any:
    return cold(response_format=kind, max_tokens=60)


LOGPROBS = "choices.0.logprobs"
CONTENT = "choices.0.message.content"
RESULT: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "sum",
        "schema": schema(result={"type": "integer", "minimum": 0, "maximum": 9}),
    },
}
DEEP: Any = {}
for _ in range(200):
    DEEP = {"type": "object", "properties": {"a": DEEP}}

ANSWERED = (
    Row("vLLM", "no log probabilities", cold(logprobs=False), {LOGPROBS: absent}),
    Row(
        "vLLM",
        "none beside the sampled one",
        cold(logprobs=True, top_logprobs=0),
        {f"{LOGPROBS}.content.0.top_logprobs": [], f"{LOGPROBS}.content": count(5)},
    ),
    Row(
        "vLLM",
        "five beside it",
        cold(logprobs=True, top_logprobs=5),
        {
            f"{LOGPROBS}.content.0.top_logprobs": count(5),
            f"{LOGPROBS}.content.0.top_logprobs.0.token": str,
            f"{LOGPROBS}.content.0.logprob": lambda it: -9999 <= it <= 0,
        },
    ),
    Row("SGLang", "null beside false", cold(logprobs=False, top_logprobs=None), {CONTENT: str}),
    Row(
        "vLLM",
        "the fields of an answer",
        cold(),
        {
            "id": re.compile("^chatcmpl-"),
            "object": "chat.completion",
            "created": int,
            "model": REAL,
            "choices": count(1),
            "choices.0.index": 0,
            "choices.0.finish_reason": "length",
            "choices.0.message.role": "assistant",
            CONTENT: some,
            "choices.0.message.tool_calls": absent,
            "usage": lambda it: it["total_tokens"] == it["prompt_tokens"] + 5,
            "usage.completion_tokens": 5,
            "usage.prompt_tokens": some,
        },
    ),
    Row(
        "vLLM",
        "three choices",
        cold(n=3, temperature=1.2, seed=4, max_tokens=8),
        {
            "choices": lambda it: (
                [one["index"] for one in it] == [0, 1, 2]
                and len({one["message"]["content"] for one in it}) > 1
            )
        },
    ),
    Row("vLLM", "two choices with a seed", cold(n=2, seed=42), {"choices": count(2)}),
    Row(
        "SGLang",
        "two choices with log probabilities",
        cold(n=2, logprobs=True, top_logprobs=5),
        {
            "choices": lambda it: all(
                len(token["top_logprobs"]) == 5
                for one in it
                for token in one["logprobs"]["content"]
            )
        },
    ),
    Row(
        "vLLM",
        "the newer name of the limit",
        cold(max_completion_tokens=3),
        {"usage.completion_tokens": 3},
    ),
    Row("vLLM", "text", format({"type": "text"}), {CONTENT: some}),
    Row(
        "vLLM", "a schema", format(RESULT), {CONTENT: lambda it: set(json.loads(it)) == {"result"}}
    ),
    Row(
        "SGLang",
        "an object that is cut",
        cold(response_format={"type": "json_object"}, max_tokens=4),
        {CONTENT: re.compile(r"^\{"), "choices.0.finish_reason": "length"},
    ),
    Row(
        "SGLang",
        "a schema by reference",
        format(
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "ref",
                    "strict": True,
                    "schema": {
                        "$defs": {"color": {"enum": ["red", "blue"]}},
                        **schema(color={"$ref": "#/$defs/color"}),
                    },
                },
            }
        ),
        {CONTENT: lambda it: json.loads(it)["color"] in ("red", "blue")},
    ),
    Row(
        "vLLM",
        "content in parts",
        cold(messages=[{"role": "user", "content": [{"type": "text", "text": "What is 1+1?"}]}]),
        {CONTENT: some},
    ),
    Row(
        "vLLM",
        "the developer's message",
        cold(messages=[{"role": "developer", "content": "Be brief."}, SUM[1]]),
        {CONTENT: some},
    ),
    Row("vLLM", "a token made likelier", cold(logit_bias={"28": 1.0}), {CONTENT: str}),
    Row("SGLang", "a token forced", cold(logit_bias={"33": 100}, max_tokens=3), {CONTENT: some}),
    Row("SGLang", "a penalty", cold(frequency_penalty=1.0, presence_penalty=0.5), {CONTENT: str}),
    Row(
        "vLLM",
        "null for everything",
        cold(
            **dict.fromkeys(
                (
                    "stop",
                    "n",
                    "seed",
                    "tools",
                    "tool_choice",
                    "logprobs",
                    "top_logprobs",
                    "stream",
                    "stream_options",
                    "response_format",
                    "top_p",
                    "logit_bias",
                    "user",
                    "max_completion_tokens",
                    "parallel_tool_calls",
                    "presence_penalty",
                    "frequency_penalty",
                )
            )
        ),
        {CONTENT: str},
    ),
    Row("Ollama", "no limit, one stop", cold(max_tokens=None, stop="a"), {CONTENT: str}),
    Row(
        "SGLang",
        "the end is ignored",
        cold(ignore_eos=True, max_tokens=40),
        {"usage.completion_tokens": 40, "choices.0.finish_reason": "length"},
    ),
    Row("vLLM", "the model is the default one", without("model"), {"model": REAL}),
    Row(
        "vLLM",
        "a tool that may be called",
        cold(tools=[WEATHER], tool_choice="auto"),
        {"choices.0.message": dict},
    ),
    Row(
        "vLLM",
        "tools that may not be called",
        cold(tools=[WEATHER], tool_choice="none"),
        {
            "choices.0.message.tool_calls": absent,
            CONTENT: some,
        },
    ),
    Row("vLLM", "no tools", cold(tools=[]), {CONTENT: some}),
    Row(
        "SGLang",
        "some call, of two tools",
        cold(tools=[WEATHER, ADD], tool_choice="required", max_tokens=80),
        {
            "choices.0.message.tool_calls.0.function.name": re.compile("^(get_weather|add)$"),
            "choices.0.message.tool_calls.0.function.arguments": lambda it: json.loads(it) != {},
            "choices.0.message.tool_calls.0.id": some,
            "choices.0.message.tool_calls.0.type": "function",
            CONTENT: absent,
            "choices.0.finish_reason": "tool_calls",
        },
    ),
    Row(
        "vLLM",
        "a call of a tool by name",
        cold(
            tools=[WEATHER, ADD],
            tool_choice={"type": "function", "function": {"name": "add"}},
            max_tokens=60,
        ),
        {
            "choices.0.message.tool_calls": count(1),
            "choices.0.message.tool_calls.0.function.name": "add",
            "choices.0.message.tool_calls.0.function.arguments": lambda it: (
                set(json.loads(it)) == {"a", "b"}
            ),
        },
    ),
    Row(
        "SGLang",
        "only some tools allowed",
        cold(
            tools=[WEATHER, ADD],
            tool_choice={
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "add"}}],
                },
            },
            max_tokens=60,
        ),
        {"choices.0.message.tool_calls.0.function.name": "add"},
    ),
    Row(
        "vLLM",
        "a tool without parameters",
        cold(
            tools=[{"type": "function", "function": {"name": "now"}}],
            tool_choice="required",
            max_tokens=40,
        ),
        {"choices.0.message.tool_calls.0.function.name": "now"},
    ),
)

REFUSED = (
    Row("vLLM", "21 log probabilities", cold(logprobs=True, top_logprobs=21), refused("20"), 400),
    Row(
        "vLLM",
        "21 log probabilities, streamed",
        cold(logprobs=True, top_logprobs=21, stream=True),
        refused("top_logprobs"),
        400,
    ),
    Row("vLLM", "fewer than none", cold(logprobs=True, top_logprobs=-1), refused("top_"), 400),
    Row("vLLM", "the likeliest without any", cold(top_logprobs=2), refused("logprobs"), 400),
    Row("vLLM", "no messages", cold(messages=[]), refused("messages"), 400),
    Row("vLLM", "messages missing", without("messages"), refused("messages"), 400),
    Row(
        "Ollama",
        "a number as content",
        cold(messages=[{"role": "user", "content": 2}]),
        refused("messages[0].content"),
        400,
    ),
    Row(
        "vLLM",
        "a part without its text",
        cold(messages=[{"role": "user", "content": [{"type": "text"}]}]),
        refused("text"),
        400,
    ),
    Row("vLLM", "no role", cold(messages=[{"content": "Hi"}]), refused("role"), 400),
    Row("vLLM", "not even one choice", cold(n=0), refused("n"), 400),
    Row("vLLM", "a negative number of choices", cold(n=-1), refused("n"), 400),
    Row("vLLM", "no tokens", cold(max_tokens=0), refused("max_tokens"), 400),
    Row("vLLM", "colder than cold", cold(temperature=-1), refused("temperature"), 400),
    Row("vLLM", "a temperature in words", cold(temperature="hot"), refused("temperature"), 400),
    Row("vLLM", "a seed of 65 bits", cold(seed=2**63), refused("seed"), 400),
    Row("vLLM", "another seed of 65 bits", cold(seed=-(2**63) - 1), refused("seed"), 400),
    Row(
        "vLLM",
        "a token that isn't there",
        cold(logit_bias={"9999999": 1}),
        refused("logit_bias"),
        400,
    ),
    Row("vLLM", "a word for a token", cold(logit_bias={"no": 1}), refused("logit_bias"), 400),
    Row("vLLM", "a word for a bias", cold(logit_bias={"1": "x"}), refused("logit_bias"), 400),
    Row("vLLM", "a bias of 101", cold(logit_bias={"1": 101}), refused("logit_bias"), 400),
    Row("Ollama", "numbers to stop at", cold(stop=[1, 2]), refused("stop"), 400),
    Row(
        "vLLM",
        "a format without its schema",
        cold(response_format={"type": "json_schema"}),
        refused("json_schema"),
        400,
    ),
    Row(
        "vLLM",
        "an unknown format",
        cold(response_format={"type": "yaml"}),
        refused("response_format"),
        400,
    ),
    Row("SGLang", "a format of no type", cold(response_format={}), refused("response_format"), 400),
    Row(
        "vLLM",
        "a schema that is none",
        format(
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "a",
                    "schema": {"type": "object", "properties": {"foo": "bar"}},
                },
            }
        ),
        refused("response_format"),
        400,
    ),
    Row(
        "vLLM",
        "a schema that has no end",
        format({"type": "json_schema", "json_schema": {"name": "a", "schema": DEEP}}),
        refused("response_format"),
        400,
    ),
    Row("vLLM", "a call without tools", cold(tool_choice="required"), refused("tool"), 400),
    Row(
        "vLLM",
        "a call of a tool that isn't there",
        cold(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "none"}}),
        refused("tool_choice"),
        400,
    ),
    Row(
        "vLLM",
        "an unknown tool choice",
        cold(tools=[WEATHER], tool_choice="always"),
        refused("tool_choice"),
        400,
    ),
    Row(
        "vLLM",
        "a tool without a name",
        cold(tools=[{"type": "function", "function": {}}]),
        refused("tools[0]"),
        400,
    ),
    Row(
        "SGLang",
        "a schema that isn't an object",
        cold(tools=[{"type": "function", "function": {"name": "a", "parameters": "none"}}]),
        refused("tools[0]"),
        400,
    ),
    Row(
        "vLLM",
        "a result without its call",
        cold(messages=[*SUM, {"role": "tool", "content": "2"}]),
        refused("tool_call_id"),
        400,
    ),
    Row(
        "Ollama",
        "an image",
        cold(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": IMAGE}},
                    ],
                }
            ]
        ),
        refused("messages[0]"),
        400,
    ),
    Row(
        "SGLang",
        "a prompt beyond the context",
        cold(messages=[{"role": "user", "content": "hello " * 9000}]),
        refused("context"),
        400,
    ),
    Row(
        "SGLang",
        "such a prompt, streamed",
        cold(stream=True, messages=[{"role": "user", "content": "hello " * 9000}]),
        refused("context"),
        400,
    ),
    Row("vLLM", "a list as the body", b'["not", "an", "object"]', refused(), 400),
    Row("vLLM", "a number as the body", b"42", refused(), 400),
    Row("vLLM", "null as the body", b"null", refused(), 400),
    Row("vLLM", "a text as the body", b'"text"', refused(), 400),
    Row("vLLM", "no JSON", b"this is {{{ not JSON", refused("JSON"), 400),
    Row("vLLM", "nothing", b"", refused(), 400),
    Row("vLLM", "half of it", json.dumps(COLD).encode()[:-9], refused("JSON"), 400),
    Row("vLLM", "bytes that are no text", b'{"model": "\xff"}', refused(), 400),
    Row(
        "vLLM",
        "a model that isn't here",
        cold(model="no/such-model"),
        {"error.message": re.compile("no/such-model"), "error.code": "model_not_found"},
        404,
    ),
)


@pytest.mark.parametrize("row", [*ANSWERED, *REFUSED], ids=str)
def test_the_real_model(real: httpx.Client, row: Row) -> None:
    row.check(real, PATH)


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("top", [None, 5])
def test_chunks_of_several_choices(client: openai.OpenAI, n: int, top: int | None) -> None:
    """SGLang: each choice begins with a role and ends once; each piece has its tokens."""
    chunks: Any = client.chat.completions.create(
        **cold(n=n, logprobs=top is not None, top_logprobs=top, stream=True),
        extra_body={"stream_options": {"include_usage": True}},
    )
    lists: Any = [defaultdict(list) for _ in range(4)]
    texts, tokens, ends, begins = lists
    usage = None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            begins[choice.index].append(choice.delta.role)
            texts[choice.index].append(choice.delta.content or "")
            ends[choice.index] += [choice.finish_reason] if choice.finish_reason else []
            if choice.logprobs:
                tokens[choice.index] += choice.logprobs.content
    whole = client.chat.completions.create(**cold(n=n))
    assert usage
    assert usage == whole.usage.model_copy(
        update={"prompt_tokens_details": usage.prompt_tokens_details}
    )
    for choice in whole.choices:
        i = choice.index
        assert "".join(texts[i]) == choice.message.content
        assert begins[i] == ["assistant"] + [None] * (len(begins[i]) - 1)
        assert ends[i] == [choice.finish_reason]
        assert "".join(it.token for it in tokens[i]) == ("".join(texts[i]) if top else "")
        assert all(len(it.top_logprobs) == top for it in tokens[i])


def test_a_conversation_goes_on(client: openai.OpenAI) -> None:
    """vLLM: what was answered comes back as a message of its own."""
    first = client.chat.completions.create(**cold())
    turns = [*SUM, first.choices[0].message, {"role": "user", "content": "As JSON, please."}]
    second = client.chat.completions.create(**cold(messages=turns))
    assert first.usage
    assert second.usage
    assert second.usage.prompt_tokens > first.usage.prompt_tokens + 5


def test_a_tokens_bias_decides(client: openai.OpenAI) -> None:
    """vLLM, SGLang: +100 makes a token certain, -100 impossible."""
    ask: Any = {"model": REAL, "prompt": "One, two,", "temperature": 0, "max_tokens": 4}
    forced = client.completions.create(**ask, logit_bias={"33": 100})
    banned = client.completions.create(**ask, logit_bias={"33": -100})
    (sign,) = set(forced.choices[0].text)
    assert sign not in banned.choices[0].text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
def test_a_forced_call_in_pieces(client: openai.OpenAI, choice: Any) -> None:
    """SGLang, vLLM: the name comes once and first, and the arguments add up to JSON."""
    chunks: Any = client.chat.completions.create(
        **cold(tools=[ADD], tool_choice=choice, max_tokens=60, stream=True)
    )
    deltas: list[Any] = []
    reasons = []
    for chunk in chunks:
        (it,) = chunk.choices
        deltas += it.delta.tool_calls or []
        reasons.append(it.finish_reason)
        assert not it.delta.content
    assert deltas[0].function.name == "add"
    assert deltas[0].id
    assert all(one.index == 0 for one in deltas)
    assert all(one.function.name is None and one.id is None for one in deltas[1:])
    assert set(json.loads("".join(one.function.arguments or "" for one in deltas))) == {"a", "b"}
    assert reasons == [None] * (len(reasons) - 1) + ["tool_calls"]
