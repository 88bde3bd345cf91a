"""Tool calls through the official client, with the real model constrained by a grammar."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.running import Running

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 20},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
TIME: dict[str, Any] = {"type": "function", "function": {"name": "get_time"}}
QUESTION: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


def create(client: openai.OpenAI, **settings: Any) -> Any:
    body = {"model": "smollm2-135m-instruct", "messages": QUESTION, "max_tokens": 100}
    return client.chat.completions.create(**(body | settings))


@pytest.mark.parametrize("choice", [NAMED, "required"])
def test_a_forced_call_keeps_to_the_schema(client: openai.OpenAI, choice: Any) -> None:
    reply = create(client, tools=[WEATHER], tool_choice=choice, temperature=1, seed=2)
    (found,) = reply.choices
    assert found.finish_reason == "tool_calls"
    assert found.message.content is None
    (call,) = found.message.tool_calls
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"city", "unit"}
    assert arguments["unit"] in ("celsius", "fahrenheit")


def test_a_streamed_call_comes_in_pieces(client: openai.OpenAI) -> None:
    pieces: list[Any] = []
    reasons: list[str | None] = []
    for chunk in create(client, tools=[WEATHER], tool_choice=NAMED, stream=True):
        for choice in chunk.choices:
            pieces += choice.delta.tool_calls or []
            assert len(choice.delta.tool_calls or []) <= 1
            reasons.append(choice.finish_reason)
            assert not choice.delta.content
    assert pieces[0].function.name == "get_weather"
    assert pieces[0].function.arguments == ""  # as of OpenAI's: some clients pass over them there
    assert pieces[0].id
    assert not any(piece.id for piece in pieces[1:])
    assert len(pieces) > 2
    arguments = json.loads("".join(piece.function.arguments or "" for piece in pieces))
    assert set(arguments) == {"city", "unit"}
    assert reasons[-1] == "tool_calls"


def test_one_of_several_tools_is_called(client: openai.OpenAI) -> None:
    reply = create(client, tools=[TIME, WEATHER], tool_choice="required", temperature=0)
    (call,) = reply.choices[0].message.tool_calls
    assert call.function.name in ("get_time", "get_weather")
    assert isinstance(json.loads(call.function.arguments), dict)


@pytest.mark.parametrize("name", ["get_time", "get_weather"])
def test_of_several_tools_those_that_are_allowed_are_called(
    client: openai.OpenAI, name: str
) -> None:
    allowed = {
        "mode": "required",
        "tools": [{"type": "function", "function": {"name": name}}],
    }
    for seed in range(3):
        reply = create(
            client,
            tools=[TIME, WEATHER],
            tool_choice={"type": "allowed_tools", "allowed_tools": allowed},
            temperature=1.5,
            seed=seed,
        )
        (call,) = reply.choices[0].message.tool_calls
        assert call.function.name == name


def test_the_result_of_a_call_is_taken_as_history(client: openai.OpenAI) -> None:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    }
    messages = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]
    reply = create(client, messages=messages, tools=[WEATHER], max_tokens=8)
    assert reply.choices[0].message.content is not None


def test_a_model_whose_template_knows_no_tools_gets_them_as_text(client: openai.OpenAI) -> None:
    with_tools = create(client, tools=[WEATHER], max_tokens=1).usage.prompt_tokens
    without = create(client, max_tokens=1).usage.prompt_tokens
    assert with_tools > without + 50
    assert create(
        client, tools=[WEATHER], tool_choice="none", max_tokens=1
    ).usage.prompt_tokens == (without)


def test_a_forced_call_that_is_cut_is_no_answer(client: openai.OpenAI) -> None:
    for n in range(1, 6):
        reply = create(client, tools=[WEATHER], tool_choice="required", max_tokens=n)
        assert not reply.choices[0].message.content
        assert reply.choices[0].finish_reason == "length"


def test_without_a_choice_the_model_answers_as_it_likes(client: openai.OpenAI) -> None:
    for choice in ("auto", "none"):
        reply = create(client, tools=[WEATHER], tool_choice=choice, max_tokens=8)
        assert reply.choices[0].finish_reason in ("stop", "length", "tool_calls")


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"tools": [WEATHER], "tool_choice": {**NAMED, "function": {"name": "x"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "get_time"}}],
                    },
                },
            },
            "tool_choice",
        ),
        ({"tools": [{"type": "function", "function": {"name": "a\nb"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "retrieval"}]}, "tools"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": NAMED,
                "response_format": {"type": "json_object"},
            },
            "tool_choice",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    client: openai.OpenAI, settings: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, **settings)
    assert (caught.value.param or "").startswith(param)


def test_a_model_given_tools_as_text_calls_them_by_their_schema(client: openai.OpenAI) -> None:
    def asked(city: str) -> list[dict[str, Any]]:
        arguments = json.dumps({"city": city, "unit": "celsius"})
        function = {"name": "get_weather", "arguments": arguments}
        return [
            {"role": "user", "content": f"What is the weather in {city}?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"call_{city}", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": f"call_{city}", "content": "21 degrees"},
            {"role": "assistant", "content": f"In {city} it is 21 degrees."},
        ]

    messages = [*asked("Rome"), *asked("Oslo"), *asked("Bern"), *QUESTION]
    reply = create(client, messages=messages, tools=[WEATHER, TIME], temperature=0)
    (found,) = reply.choices
    (call,) = found.message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris", "unit": "celsius"}
    assert found.finish_reason == "tool_calls"
    assert not found.message.content
