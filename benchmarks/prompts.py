"""Prompts that no run before this one used: what servers keep on disk would answer those.

Within a run the same seed gives the same text, and texts of as many words have as many tokens.
"""

import random
import uuid
from typing import Any

from appliance.config.schema import EMBEDDED_MODEL

RUN = uuid.uuid4().hex
"""Goes into every seed."""
_WORDS = (  # noqa: SIM905 - a list would fill the page
    "river house green under paper often little found water music letter window people answer"
    " between story market winter simple train early light follow number quiet street summer table"
    " voice animal bridge color family strong together picture begin school country second measure"
    " heavy bread change forest road"
).split()
"""Each is one token to the models that are measured, also where a text begins with it."""

Body = dict[str, Any]


def words(count: int, seed: str) -> str:
    """`count` common words, each a token."""
    draw = random.Random(f"{RUN} {seed}")
    return " ".join(draw.choice(_WORDS) for _ in range(count))


def message(role: str, content: str) -> dict[str, str]:
    """Of a chat."""
    return {"role": role, "content": content}


def chat(messages: list[dict[str, str]], max_tokens: int, model: str = EMBEDDED_MODEL.id) -> Body:
    """A streamed request that takes the likeliest token and goes on to the last one asked for."""
    return {
        "model": model,
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0.0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def question(count: int, seed: str, max_tokens: int) -> Body:
    """A single message of `count` tokens and a few.

    There is a system message, since the model's template would put one of its own in its place.
    """
    asked = message("user", f"Write a story with: {words(count, seed)}.")
    return chat([message("system", "You are a helpful assistant."), asked], max_tokens)


def warm_up() -> Body:
    """The first request of a server, which nobody measures."""
    return question(8, "warm-up", 8)
