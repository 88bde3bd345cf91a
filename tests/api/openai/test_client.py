"""The official `openai` client works unchanged."""

import json
import math
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.running import Running

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me about the sea."}]


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def model(client: openai.OpenAI) -> str:
    return next(iter(client.models.list())).id


def test_models(client: openai.OpenAI, model: str) -> None:
    assert client.models.retrieve(model).id == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


def test_a_chat_completion(client: openai.OpenAI, model: str) -> None:
    reply = client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=12, temperature=0
    )
    (choice,) = reply.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert reply.usage
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert 0 < reply.usage.completion_tokens <= 12


def test_a_stream_gives_what_the_whole_reply_gives(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(
        model=model, messages=QUESTION, max_completion_tokens=16, temperature=0
    )
    stream = client.chat.completions.create(
        model=model,
        messages=QUESTION,
        max_completion_tokens=16,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")
    usage = chunks[-1].usage
    assert usage and whole.usage
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert usage.prompt_tokens_details
    assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens - 1
    assert len({c.id for c in chunks}) == 1


def test_a_text_completion_streamed_and_whole(client: openai.OpenAI, model: str) -> None:
    settings: dict[str, Any] = {
        "model": model,
        "prompt": "The sea is",
        "max_tokens": 8,
        "temperature": 0,
    }
    whole = client.completions.create(**settings)
    chunks = list(client.completions.create(**settings, stream=True))
    assert "".join(c.choices[0].text for c in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_several_prompts_in_one_request(client: openai.OpenAI, model: str) -> None:
    prompts = ["One, two,", "Red, green,", "Cat, dog,"]
    settings: dict[str, Any] = {"model": model, "max_tokens": 6, "temperature": 0}
    together = client.completions.create(prompt=prompts, **settings)
    assert [choice.index for choice in together.choices] == [0, 1, 2]
    assert together.usage
    assert together.usage.completion_tokens <= 18
    streamed = {0: "", 1: "", 2: ""}
    for chunk in client.completions.create(prompt=prompts, stream=True, **settings):
        for choice in chunk.choices:
            streamed[choice.index] += choice.text
    assert all(streamed.values())


def test_stop_texts(client: openai.OpenAI, model: str) -> None:
    settings: dict[str, Any] = {
        "model": model,
        "prompt": "1, 2, 3, 4,",
        "max_tokens": 20,
        "temperature": 0,
    }
    free = client.completions.create(**settings).choices[0].text
    stop = free[4:7]
    cut = client.completions.create(**settings, stop=[stop, "never"]).choices[0]
    assert cut.text == free[: free.index(stop)]
    assert cut.finish_reason == "stop"


def test_seeds(client: openai.OpenAI, model: str) -> None:
    def generate(seed: int) -> str | None:
        reply = client.chat.completions.create(
            model=model, messages=QUESTION, max_tokens=16, temperature=1.5, seed=seed
        )
        return reply.choices[0].message.content

    assert generate(1) == generate(1)
    assert len({generate(seed) for seed in range(4)}) > 1


def test_a_prompt_that_is_too_long(client: openai.OpenAI, model: str) -> None:
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello " * 9000}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=model, messages=long, stream=stream)
        assert caught.value.code == "context_length_exceeded"
        assert caught.value.param == "messages"
        assert "8192" in caught.value.message


def test_an_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_several_choices_differ(client: openai.OpenAI, model: str) -> None:
    reply = client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=12, temperature=1.5, n=3, seed=5
    )
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in reply.choices}) > 1
    assert reply.usage
    assert reply.usage.completion_tokens <= 36


def test_logprobs_of_a_chat(client: openai.OpenAI, model: str) -> None:
    settings: dict[str, Any] = {"model": model, "messages": QUESTION, "max_tokens": 8}
    reply = client.chat.completions.create(**settings, temperature=0, logprobs=True, top_logprobs=4)
    (choice,) = reply.choices
    assert choice.logprobs
    assert choice.logprobs.content
    assert "".join(t.token for t in choice.logprobs.content) == choice.message.content
    for token in choice.logprobs.content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 4
        # Greedy takes the likeliest, and the list is in order.
        assert token.top_logprobs[0].token == token.token
        values = [top.logprob for top in token.top_logprobs]
        assert values == sorted(values, reverse=True)
        assert sum(math.exp(value) for value in values) <= 1.0001
    streamed = client.chat.completions.create(
        **settings, temperature=0, logprobs=True, top_logprobs=4, stream=True
    )
    entries = [
        token
        for chunk in streamed
        for choice_ in chunk.choices
        if choice_.logprobs
        for token in choice_.logprobs.content or ()
    ]
    assert [t.token for t in entries] == [t.token for t in choice.logprobs.content]


def test_logprobs_of_a_text(client: openai.OpenAI, model: str) -> None:
    reply = client.completions.create(
        model=model, prompt="The sea is", max_tokens=6, temperature=0, logprobs=2
    )
    (choice,) = reply.choices
    assert choice.logprobs
    assert choice.logprobs.tokens
    assert choice.logprobs.text_offset
    assert choice.logprobs.token_logprobs
    assert "".join(choice.logprobs.tokens) == choice.text
    assert choice.logprobs.text_offset[0] == 0
    assert all(value <= 0 for value in choice.logprobs.token_logprobs)


def test_logit_bias_bans_and_forces(client: openai.OpenAI, model: str) -> None:
    def generate(**settings: Any) -> list[str]:
        reply = client.chat.completions.create(
            model=model,
            messages=QUESTION,
            max_tokens=4,
            temperature=0,
            logprobs=True,
            **settings,
        )
        assert reply.choices[0].logprobs
        return [token.token for token in reply.choices[0].logprobs.content or ()]

    free = generate()
    forced = generate(logit_bias={"28": 100})  # a comma in this vocabulary
    assert forced == [",", ",", ",", ","]
    assert free[0] not in forced
    with pytest.raises(openai.BadRequestError) as caught:
        generate(logit_bias={"comma": 1})
    assert caught.value.param == "logit_bias"
    with pytest.raises(openai.BadRequestError) as caught:
        generate(logit_bias={"99999999": 1})
    assert caught.value.param == "logit_bias"


def test_penalties_keep_it_from_repeating_itself(client: openai.OpenAI, model: str) -> None:
    def distinct(**settings: Any) -> int:
        reply = client.completions.create(
            model=model,
            prompt="la la la la la la la la la la",
            max_tokens=24,
            temperature=0,
            logprobs=0,
            **settings,
        )
        assert reply.choices[0].logprobs
        return len(set(reply.choices[0].logprobs.tokens or ()))

    plain = distinct(extra_body={"ignore_eos": True})
    for name in ("repeat_penalty", "frequency_penalty", "presence_penalty"):
        assert distinct(extra_body={"ignore_eos": True, name: 2.0}) > plain


def test_a_reply_that_may_not_end(client: openai.OpenAI, model: str) -> None:
    reply = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Say yes."}],
        max_tokens=200,
        temperature=0,
        extra_body={"ignore_eos": True},
    )
    assert reply.usage
    assert reply.usage.completion_tokens == 200
    assert reply.choices[0].finish_reason == "length"


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["cat", "dog"]},
    },
    "required": ["name", "age", "kind"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_reply_keeps_to_a_json_schema(
    client: openai.OpenAI, model: str, temperature: float
) -> None:
    reply = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Describe a pet."}],
        max_tokens=120,
        temperature=temperature,
        seed=1,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "pet", "schema": SCHEMA, "strict": True},
        },
    )
    pet = json.loads(reply.choices[0].message.content or "")
    assert set(pet) == {"name", "age", "kind"}
    assert isinstance(pet["age"], int)
    assert pet["kind"] in ("cat", "dog")


class Pet(BaseModel):
    """A schema as users of the client write it."""

    name: str
    kind: Literal["cat", "dog"]


def test_the_clients_own_helpers(client: openai.OpenAI, model: str) -> None:
    question: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Describe a pet."}]
    settings: dict[str, Any] = {"model": model, "temperature": 0, "max_completion_tokens": 200}
    parsed = client.chat.completions.parse(messages=question, response_format=Pet, **settings)
    pet = parsed.choices[0].message.parsed
    assert pet
    assert pet.kind in ("cat", "dog")
    with client.chat.completions.stream(
        messages=question, response_format=Pet, **settings
    ) as stream:
        kinds = {event.type for event in stream}
        streamed = stream.get_final_completion().choices[0].message.parsed
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert streamed
    assert streamed.kind in ("cat", "dog")
    raw = client.chat.completions.with_raw_response.create(
        messages=question, **{**settings, "max_completion_tokens": 1}
    )
    assert raw.headers["X-Request-Id"] == raw.parse()._request_id
    tool = openai.pydantic_function_tool(Pet)
    called = client.chat.completions.parse(
        messages=question, tools=[tool], tool_choice="required", **settings
    )
    calls = called.choices[0].message.tool_calls
    assert calls
    (call,) = calls
    assert isinstance(call.function.parsed_arguments, Pet)


def test_a_reply_is_a_json_object(client: openai.OpenAI, model: str) -> None:
    reply = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Give me a small JSON object."}],
        max_tokens=300,
        temperature=0,
        response_format={"type": "json_object"},
    )
    (choice,) = reply.choices
    text = choice.message.content or ""
    assert text.lstrip().startswith("{")
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(text), dict)


def test_a_reply_keeps_to_a_grammar(client: openai.OpenAI, model: str) -> None:
    reply = client.completions.create(
        model=model,
        prompt="Is the sky blue? ",
        max_tokens=10,
        extra_body={"grammar": 'root ::= "yes" | "no"'},
    )
    assert reply.choices[0].text in ("yes", "no")


def test_a_bad_grammar_is_no_error_of_the_appliances(
    running: Running, client: openai.OpenAI, model: str
) -> None:
    before = len(running.log.read_text())
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(
            model=model, prompt="x", max_tokens=1, extra_body={"grammar": "root ::= missing"}
        )
    assert "no rule missing" in caught.value.message
    lines = running.log.read_text()[before:].splitlines()
    assert not [line for line in map(json.loads, lines) if line["level"] in ("error", "critical")]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"grammar": "this is no grammar"}, "grammar"),
        ({"grammar": "root ::= missing"}, "grammar"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "nonsense"}},
                }
            },
            "response_format",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"$ref": "#/nowhere"}},
                }
            },
            "response_format",
        ),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"n": 17}, "n"),
    ],
)
def test_what_cannot_be_kept_to_is_refused(
    client: openai.OpenAI, model: str, body: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=QUESTION, extra_body=body)
    assert (caught.value.param or "").startswith(param)
