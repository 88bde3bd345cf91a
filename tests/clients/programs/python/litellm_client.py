"""litellm: providers for OpenAI's, Anthropic's and Ollama's APIs, LM Studio, vLLM, llamafile."""

import json
import os
from functools import partial
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from report import (
    CHAT,
    EMBEDDINGS,
    FAKE,
    HELLO,
    KEY,
    REAL,
    REAL_URL,
    RESPONSES,
    URL,
    WHO,
    Person,
    asked_for_call,
    equal,
    report,
)

# The provider, and what it adds to the appliance's address.
PROVIDERS = {
    "openai": "/v1",
    "hosted_vllm": "/v1",
    "lm_studio": "/v1",
    "llamafile": "/v1",
    "anthropic": "",
    "ollama": "",
    "ollama_chat": "",
}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def ask(provider: str, text: str, **options: Any) -> Any:
    """What litellm makes of one message."""
    return litellm.completion(
        f"{provider}/{FAKE}",
        messages=[{"role": "user", "content": text}],
        api_base=URL + PROVIDERS[provider],
        api_key=KEY,
        num_retries=0,
        **options,
    )


def chat(provider: str) -> None:
    found = ask(provider, HELLO)
    # Its `ollama` provider puts line breaks behind the prompt, which this model repeats.
    equal(found.choices[0].message.content.strip(), "Hello there")
    assert found.usage.completion_tokens > 0


def stream(provider: str) -> None:
    pieces = [chunk.choices[0].delta.content or "" for chunk in ask(provider, HELLO, stream=True)]
    equal("".join(pieces).strip(), "Hello there")


def tool(provider: str) -> None:
    message = ask(provider, asked_for_call(), tools=[TOOL]).choices[0].message
    (call,) = message.tool_calls
    equal(
        (call.function.name, json.loads(call.function.arguments)), ("get_weather", {"city": "Oslo"})
    )


def responses() -> None:
    found = litellm.responses(
        model=f"openai/{FAKE}", input=HELLO, api_base=f"{URL}/v1", api_key=KEY, num_retries=0
    )
    equal(found.output[0].content[0].text, "Hello there")


def schema() -> None:
    found = litellm.completion(
        f"openai/{REAL}",
        messages=[{"role": "user", "content": WHO}],
        api_base=f"{REAL_URL}/v1",
        api_key=KEY,
        response_format=Person,
        max_tokens=100,
    )
    Person.model_validate_json(found.choices[0].message.content)


def embedding() -> None:
    found = litellm.embedding(
        f"openai/{REAL}", input=["Hello"], api_base=f"{REAL_URL}/v1", api_key=KEY
    )
    assert len(found.data[0]["embedding"]) > 100


for provider in PROVIDERS:
    tries = {"chat": partial(chat, provider), "stream": partial(stream, provider)}
    # Its `ollama` provider writes prompts of its own and knows no tools.
    if provider != "ollama":
        tries["tool"] = partial(tool, provider)
    report(f"provider {provider}", **tries)
report(CHAT, schema=schema)
report(RESPONSES, chat=responses)
report(EMBEDDINGS, embeddings=embedding)
