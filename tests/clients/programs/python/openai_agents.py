"""openai-agents: its default (Responses) and Chat Completions; a tool, a stream, an output type."""

import asyncio
from functools import partial
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from report import (
    ANSWER,
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

set_tracing_disabled(True)
MODELS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


def worker(kind: str, url: str = URL, model: str = FAKE, **options: Any) -> Agent:
    """An agent on one of the two APIs."""
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    return Agent(name="worker", model=MODELS[kind](model, client), **options)


def chat(kind: str) -> None:
    equal(Runner.run_sync(worker(kind), HELLO).final_output, "Hello there")


def stream(kind: str) -> None:
    async def read() -> str:
        running = Runner.run_streamed(worker(kind), HELLO)
        return "".join(
            [
                event.data.delta
                async for event in running.stream_events()
                if event.type == "raw_response_event"
                and event.data.type == "response.output_text.delta"
            ]
        )

    equal(asyncio.run(read()), "Hello there")


def tool(kind: str) -> None:
    tools = [function_tool(get_weather)]
    equal(Runner.run_sync(worker(kind, tools=tools), asked_for_call()).final_output, ANSWER)


def output_type(kind: str) -> None:
    settings = ModelSettings(max_tokens=100)
    asked = worker(kind, REAL_URL, REAL, output_type=Person, model_settings=settings)
    assert isinstance(Runner.run_sync(asked, WHO).final_output, Person)


for kind, api in (("chat", CHAT), ("responses", RESPONSES)):
    report(
        api,
        chat=partial(chat, kind),
        stream=partial(stream, kind),
        tool=partial(tool, kind),
        output_type=partial(output_type, kind),
    )
