"""pydantic-ai: OpenAI's two APIs and Anthropic's; a tool, a stream, native and tool output."""

import asyncio
from functools import partial
from typing import Any

from anthropic import AsyncAnthropic
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from report import (
    ANSWER,
    ANTHROPIC,
    CHAT,
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
    get_weather,
    report,
)


def model(kind: str, url: str = URL, name: str = FAKE) -> Any:
    """A model by one of the three APIs."""
    if kind == "anthropic":
        client = AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0)
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))
    made = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}[kind]
    return made(name, provider=OpenAIProvider(base_url=f"{url}/v1", api_key=KEY))


def chat(kind: str) -> None:
    equal(Agent(model(kind)).run_sync(HELLO).output, "Hello there")


def stream(kind: str) -> None:
    async def read() -> str:
        async with Agent(model(kind)).run_stream(HELLO) as running:
            return "".join([piece async for piece in running.stream_text(delta=True)])

    equal(asyncio.run(read()), "Hello there")


def tool(kind: str) -> None:
    equal(Agent(model(kind), tools=[get_weather]).run_sync(asked_for_call()).output, ANSWER)


def schema(kind: str) -> None:
    output: Any = ToolOutput(Person) if kind == "anthropic" else NativeOutput(Person)
    made = Agent(model(kind, REAL_URL, REAL), output_type=output)
    found = made.run_sync(WHO, model_settings={"max_tokens": 200})
    assert isinstance(found.output, Person)


for kind, api in (("chat", CHAT), ("responses", RESPONSES), ("anthropic", ANTHROPIC)):
    report(
        api,
        chat=partial(chat, kind),
        stream=partial(stream, kind),
        tool=partial(tool, kind),
        schema=partial(schema, kind),
    )
