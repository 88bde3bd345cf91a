"""Replies that conform to schemas and grammars, through the API, checked by jsonschema.

Input that once crashed or stalled the model's worker is accepted, or refused by name.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jsonschema_rs
import openai
import pytest

from tests.running import Running

MODEL = "smollm2-135m-instruct"
ENDS = {"0": -100, "2": -100, "4": -100}
"""Bans the embedded model's end-of-reply tokens."""


def asked(text: str = "Tell me about a pet.") -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


def post(running: Running, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": asked(), "max_tokens": 8, **fields}
    return httpx.post(running.url + "/v1/chat/completions", json=body, timeout=180)


def format_of(schema: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}


def tool(parameters: Any, name: str = "look") -> Any:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


LONG = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 20000}}}
LONG_REQUIRED = {**LONG, "required": ["a"]}

# -- input that once crashed a worker --------------------------------------------------------------

TAKEN: dict[str, dict[str, Any]] = {
    "a long string": {"response_format": format_of(LONG_REQUIRED)},
    "an agent's tool": {
        "tools": [
            tool(
                {
                    "type": "object",
                    "properties": {"text": {"type": "string", "maxLength": 65536}},
                    "required": ["text"],
                }
            )
        ],
        "tool_choice": "required",
    },
    "no end": {"grammar": 'root ::= "ab"', "ignore_eos": True},
    "a banned end": {"grammar": 'root ::= "ab"', "logit_bias": ENDS},
    "a long list": {
        "response_format": format_of({"type": "array", "items": {}, "minItems": 10**9})
    },
    "a longer string": {"response_format": format_of({"type": "string", "minLength": 10**9})},
    "nothing": {"grammar": 'root ::= ""'},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an empty range with a line break and an escape": (
        {"grammar": "root ::= [1-\n\x1b]"},
        "grammar",
    ),
    "brackets": ({"grammar": "root ::= " + "(" * 20_000}, "grammar"),
    "many maybes": ({"grammar": "root ::= " + '"a"? ' * 3_000}, "grammar"),
    "a chain": (
        {
            "response_format": format_of(
                {
                    "$ref": "#/$defs/d0",
                    "$defs": {
                        f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i + 1}"}}
                        for i in range(5_000)
                    }
                    | {"d5000": {"type": "null"}},
                }
            )
        },
        "response_format",
    ),
    "unique items": (
        {"response_format": format_of({"type": "array", "uniqueItems": True})},
        "response_format",
    ),
    "one tool of three": (
        {
            "tools": [tool({}, "a"), tool(None, "b"), tool({"not": {}}, "c")],
            "tool_choice": "required",
        },
        "tools[2].function.parameters",
    ),
}


@pytest.fixture
def neighbour(running: Running) -> Iterator[None]:
    """Another client's reply, which must be complete at the end."""
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(post, running, max_tokens=40, ignore_eos=True)
        yield
        response = reply.result().json()
    assert response["usage"]["completion_tokens"] == 40
    assert response["choices"][0]["finish_reason"] == "length"


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken_and_hurts_nobody(running: Running, name: str) -> None:
    response = post(running, **TAKEN[name])
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    if "grammar" in TAKEN[name]:
        assert choice["message"]["content"] == re.search(r'"(.*)"', TAKEN[name]["grammar"])[1]  # type: ignore[index]
        assert choice["finish_reason"] == "stop"


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name_and_hurts_nobody(running: Running, name: str) -> None:
    fields, param = REFUSED[name]
    response = post(running, **fields)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == param
    assert param in error["message"] or "grammar" in error["message"]
    assert error["message"].isprintable()
    assert error["type"] == "invalid_request_error"


# -- real replies ---------------------------------------------------------------------------------

SCHEMAS: dict[str, Any] = {
    "letter": {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 60}},
        "required": ["text"],
        "additionalProperties": False,
    },
    "bounds": {"type": "integer", "minimum": 1, "maximum": 5},
    "pet": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 40},
            "kind": {"$ref": "#/$defs/Kind"},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 2},
        },
        "required": ["name", "age", "kind", "tags"],
        "additionalProperties": False,
        "$defs": {"Kind": {"enum": ["cat", "dog", "a\nb"]}},
    },
    "choice": {
        "anyOf": [
            {
                "type": "object",
                "properties": {"ok": {"const": True}},
                "required": ["ok"],
                "additionalProperties": False,
            },
            {"type": "null"},
        ]
    },
    "pattern": {"type": "string", "pattern": r"^[A-Z]\w{2,5}-\d{2}$"},
    "date": {"type": "string", "format": "date"},
    "nullable": {"type": ["string", "null"], "enum": ["a", "b", None]},
    "multiple": {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 1000},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_replies_conform(client: openai.OpenAI, name: str) -> None:
    validator = jsonschema_rs.validator_for(SCHEMAS[name], validate_formats=True)
    replies = client.chat.completions.create(
        model=MODEL,
        messages=asked("Write a letter to my aunt about her cat."),
        max_tokens=150,
        temperature=1.5,
        seed=11,
        n=4,
        response_format=format_of(SCHEMAS[name]),
    )
    assert len(replies.choices) == 4
    for choice in replies.choices:
        assert choice.finish_reason == "stop"
        reply = choice.message.content or ""
        assert validator.is_valid(json.loads(reply)), reply
        assert reply == reply.strip()


def test_a_forced_call_conforms(client: openai.OpenAI) -> None:
    validator = jsonschema_rs.validator_for(SCHEMAS["pet"])
    replies = client.chat.completions.create(
        model=MODEL,
        messages=asked(),
        tools=[tool(SCHEMAS["pet"], "adopt")],
        tool_choice="required",
        max_tokens=150,
        temperature=1.5,
        seed=3,
        n=4,
    )
    for choice in replies.choices:
        calls: Any = choice.message.tool_calls
        arguments = calls[0].function.arguments
        assert validator.is_valid(json.loads(arguments)), arguments


def test_log_probabilities_and_stop_texts_go_with_a_schema(client: openai.OpenAI) -> None:
    settings: Any = {"model": MODEL, "messages": asked(), "max_tokens": 60, "temperature": 0}
    wanted = format_of(SCHEMAS["pet"])
    whole = client.chat.completions.create(
        **settings, response_format=wanted, logprobs=True, top_logprobs=2
    ).choices[0]
    assert whole.logprobs
    tokens = whole.logprobs.content or []
    assert "".join(token.token for token in tokens) == whole.message.content
    assert all(token.logprob <= 0 for token in tokens)
    cut = client.chat.completions.create(**settings, response_format=wanted, stop='"age"')
    before, _, _ = (whole.message.content or "").partition('"age"')
    assert cut.choices[0].message.content == before
    assert cut.choices[0].finish_reason == "stop"


def test_a_seed_gives_the_same_reply(client: openai.OpenAI) -> None:
    def reply() -> str | None:
        return (
            client.chat.completions.create(
                model=MODEL,
                messages=asked(),
                max_tokens=60,
                temperature=1.5,
                seed=5,
                response_format=format_of(SCHEMAS["pet"]),
            )
            .choices[0]
            .message.content
        )

    assert reply() == reply()


# -- over the limits -------------------------------------------------------------------------------

MUCH = "x" * 300_000
TOO_MUCH: dict[str, tuple[str, dict[str, Any], str]] = {
    "messages": ("chat/completions", {"messages": asked("x") * 100_000}, "messages"),
    "content": ("chat/completions", {"messages": asked(MUCH)}, "messages"),
    "a thought": (
        "chat/completions",
        {"messages": [{"role": "assistant", "content": "x", "reasoning_content": "x" * 7_000_000}]},
        "messages",
    ),
    "a name": ("chat/completions", {"messages": [{**asked()[0], "name": MUCH}]}, "messages"),
    "arguments": (
        "chat/completions",
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "look", "arguments": MUCH},
                        }
                    ],
                }
            ]
        },
        "messages",
    ),
    "tools": (
        "chat/completions",
        {"tools": [tool({"description": "x" * 50_000}, f"t{i}") for i in range(120)]},
        "tools",
    ),
    "a deep tool": (
        "chat/completions",
        {"tools": [tool({}), tool(json.loads('{"items":' * 200 + "{}" + "}" * 200))]},
        "tools[1].function.parameters",
    ),
    "a schema": (
        "chat/completions",
        {"response_format": format_of({"description": "x" * 600_000})},
        "response_format",
    ),
    "a grammar": ("chat/completions", {"grammar": "x" * 70_000}, "grammar"),
    "a prompt": ("completions", {"prompt": ["x", MUCH]}, "prompt"),
    "an input": ("embeddings", {"input": ["x", MUCH]}, "input"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_too_much_is_refused_by_name(running: Running, name: str) -> None:
    path, fields, param = TOO_MUCH[name]
    body = {"model": MODEL, **({"messages": asked()} if path == "chat/completions" else {})}
    response = httpx.post(f"{running.url}/v1/{path}", json={**body, **fields}, timeout=60)
    assert response.status_code == 400, response.text[:500]
    assert response.json()["error"]["param"] == param


def test_the_original_services_system_prompt_counts_too(running: Running) -> None:
    body = {"prompt": "x", "system_prompt": MUCH}
    response = httpx.post(running.url + "/v1/completions", json=body, timeout=60)
    assert response.status_code == 400
    assert "system_prompt" in response.text


@pytest.mark.parametrize(
    "fields",
    [
        {"guided_regex": r"^(red|blue) \d{3}$"},
        {"structured_outputs": {"regex": r"(red|blue) \d{3}"}},
        {"regex": r"\A(?:red|blue)\s\d{3}"},
    ],
)
def test_a_regular_expression_is_matched_from_end_to_end(
    running: Running, fields: dict[str, Any]
) -> None:
    reply = post(running, **fields, max_tokens=40)
    assert reply.status_code == 200, reply.text
    text = reply.json()["choices"][0]["message"]["content"]
    assert re.fullmatch(r"(red|blue)\s\d{3}", text), text


@pytest.mark.parametrize(
    "pattern", ["(a", "a" * 20_000, r"(?=a)b", r"(a)\1", "(a{1000}){1000}", "[z-a]", "a^b"]
)
def test_a_regular_expression_that_is_not_to_be_kept_to_is_refused(
    running: Running, pattern: str
) -> None:
    reply = post(running, guided_regex=pattern)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert error["param"] == "guided_regex"
    assert "the regular expression in guided_regex cannot be used" in error["message"]
