"""instructor: its modes of structured output, held to by the real model."""

from functools import partial

import instructor
from anthropic import Anthropic
from openai import OpenAI
from report import ANTHROPIC, CHAT, KEY, REAL, REAL_URL, WHO, Person, report


def ask(client: instructor.Instructor) -> None:
    """Ask for a person once, without a second try."""
    found = client.create(
        model=REAL,
        response_model=Person,
        messages=[{"role": "user", "content": WHO}],
        max_retries=0,
        max_tokens=100,
    )
    assert isinstance(found, Person)


def openai_mode(mode: instructor.Mode) -> None:
    ask(instructor.from_openai(OpenAI(base_url=f"{REAL_URL}/v1", api_key=KEY), mode=mode))


def anthropic_tools() -> None:
    client = Anthropic(base_url=REAL_URL, api_key=KEY)
    ask(instructor.from_anthropic(client, mode=instructor.Mode.ANTHROPIC_TOOLS))


report(
    CHAT,
    tools=partial(openai_mode, instructor.Mode.TOOLS),
    strict_tools=partial(openai_mode, instructor.Mode.TOOLS_STRICT),
    schema=partial(openai_mode, instructor.Mode.JSON_SCHEMA),
)
report(ANTHROPIC, tools=anthropic_tools)
