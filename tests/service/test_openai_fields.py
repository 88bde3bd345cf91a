"""Every request field of OpenAI's current API is kept to or refused by name; none is ignored.

The lists come from the types of the installed `openai` package: a field that it gains has to be put
into a table here, and so be thought about.
"""

import typing
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types import completion_create_params as text_params
from openai.types.chat import ChatCompletionMessageParam
from openai.types.chat import chat_completion_stream_options_param as stream_params
from openai.types.chat import completion_create_params as chat_params

from tests.running import Running

MODEL = "smollm2-135m-instruct"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

# What is kept to; other tests show how.
CHAT_TAKES: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "logit_bias": {"28": -100},
    "logprobs": True,
    "max_completion_tokens": 2,
    "max_tokens": 2,
    "messages": QUESTION,
    "model": MODEL,
    "n": 2,
    "parallel_tool_calls": False,
    "presence_penalty": 0.5,
    "prompt_cache_key": "mine",
    "response_format": {"type": "text"},
    "safety_identifier": "somebody",
    "seed": 1,
    "service_tier": "auto",
    "stop": ["x"],
    "store": False,
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "temperature": 0.5,
    "tool_choice": "none",
    "tools": [TOOL],
    "top_logprobs": 2,
    "top_p": 0.5,
    "user": "somebody",
    "modalities": ["text"],
}
CHAT_REFUSES: dict[str, Any] = {
    "audio": {"format": "mp3", "voice": "ash"},
    "function_call": "auto",
    "functions": [{"name": "look"}],
    "metadata": {"a": "b"},
    "moderation": {"model": "omni"},
    "prediction": {"type": "content", "content": "Hi"},
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "verbosity": "low",
    "web_search_options": {},
    # Fields that are kept to for other values.
    "modalities": ["text", "audio"],
    "service_tier": "priority",
    "store": True,
    "stream_options": {"include_obfuscation": True},
    "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
    "tools": [{"type": "custom", "custom": {"name": "x"}}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
    "response_format": {"type": "grammar"},
}
TEXT_TAKES: dict[str, Any] = {
    "best_of": 1,
    "echo": False,
    "frequency_penalty": 0.5,
    "logit_bias": {"28": -100},
    "logprobs": 1,
    "max_tokens": 2,
    "model": MODEL,
    "n": 2,
    "presence_penalty": 0.5,
    "prompt": "Hi",
    "seed": 1,
    "stop": "x",
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "top_p": 0.5,
    "user": "somebody",
}
TEXT_REFUSES: dict[str, Any] = {"suffix": "bye", "best_of": 3, "echo": True}

NEEDS: dict[str, dict[str, Any]] = {
    "stream_options": {"stream": True},
    "top_logprobs": {"logprobs": True},
    "tool_choice": {"tools": [TOOL]},
    "parallel_tool_calls": {"tools": [TOOL]},
}
"""What a field makes no sense without."""


def fields(*kinds: type) -> set[str]:
    return {name for kind in kinds for name in typing.get_type_hints(kind)}


def test_the_tables_have_every_field_of_the_official_client() -> None:
    chat = fields(
        chat_params.CompletionCreateParamsStreaming, chat_params.CompletionCreateParamsNonStreaming
    )
    text = fields(
        text_params.CompletionCreateParamsStreaming, text_params.CompletionCreateParamsNonStreaming
    )
    options = fields(stream_params.ChatCompletionStreamOptionsParam)
    assert chat == CHAT_TAKES.keys() | CHAT_REFUSES.keys()
    assert text == TEXT_TAKES.keys() | TEXT_REFUSES.keys()
    assert options == CHAT_TAKES["stream_options"].keys()


def ask(running: Running, path: str, name: str, value: Any) -> httpx.Response:
    base: dict[str, Any] = {"max_tokens": 2}
    base |= {"prompt": "Hi"} if path == "/completions" else {"messages": QUESTION}
    body = {**base, **NEEDS.get(name, {}), name: value}
    return httpx.post(f"{running.url}/v1{path}", json=body, timeout=60)


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        *(("/chat/completions", name, value) for name, value in CHAT_TAKES.items()),
        *(("/completions", name, value) for name, value in TEXT_TAKES.items()),
    ],
)
def test_a_field_that_is_kept_to_is_taken(
    running: Running, path: str, name: str, value: Any
) -> None:
    assert ask(running, path, name, value).status_code == 200


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        *(("/chat/completions", name, value) for name, value in CHAT_REFUSES.items()),
        *(("/completions", name, value) for name, value in TEXT_REFUSES.items()),
        ("/chat/completions", "colour", "red"),
        ("/completions", "colour", "red"),
    ],
)
def test_a_field_that_is_not_is_refused_by_name(
    running: Running, path: str, name: str, value: Any
) -> None:
    answer = ask(running, path, name, value)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"].partition(".")[0].partition("[")[0] == name
    assert name in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("name", sorted(CHAT_TAKES.keys() | CHAT_REFUSES.keys() - {"messages"}))
def test_null_asks_for_nothing(running: Running, name: str) -> None:
    if name == "messages":
        assert ask(running, "/chat/completions", name, None).json()["error"]["param"] == name
        return
    body = {"messages": QUESTION, "max_tokens": 1, name: None}
    answer = httpx.post(running.url + "/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200


# -- how some are kept to -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_service_tier_is_told(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=2, service_tier="auto"
    )
    assert reply.service_tier == "default"


def test_whom_the_caller_serves_stands_in_the_log(running: Running, client: openai.OpenAI) -> None:
    for whom in ({"user": "ada-lovelace"}, {"safety_identifier": "grace-hopper"}):
        client.chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=1, extra_body=whom
        )
    log = running.log.read_text()
    assert "ada-lovelace" in log
    assert "grace-hopper" in log


def test_a_reply_can_be_sent_back_as_it_came(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=4)
    said: Any = reply.choices[0].message.model_dump()
    assert "function_call" in said
    messages: list[ChatCompletionMessageParam] = [*QUESTION, said, *QUESTION]
    again = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=4)
    assert again.choices[0].message.role == "assistant"


def test_usage_comes_in_a_stream_when_it_is_asked_for(client: openai.OpenAI) -> None:
    for wanted in (True, False):
        chunks = list(
            client.chat.completions.create(
                model=MODEL,
                messages=QUESTION,
                max_tokens=2,
                stream=True,
                stream_options={"include_usage": wanted},
            )
        )
        assert (chunks[-1].usage is not None) == wanted
        assert all(chunk.usage is None for chunk in chunks[:-1])
