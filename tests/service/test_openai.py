"""The official `openai` client works unchanged."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

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
    def say(seed: int) -> str | None:
        reply = client.chat.completions.create(
            model=model, messages=QUESTION, max_tokens=16, temperature=1.5, seed=seed
        )
        return reply.choices[0].message.content

    assert say(1) == say(1)
    assert len({say(seed) for seed in range(4)}) > 1


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
