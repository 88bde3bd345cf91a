"""Fixed prompts: the same seed gives the same text, another one a text that no cache has seen."""

import random
from typing import Any

from appliance.config import EMBEDDED_MODEL

_WORDS = (  # noqa: SIM905 - a list would fill the page
    "river house green under morning paper often little found water carry music letter window "
    "garden people answer between story market winter simple train early light mountain follow "
    "number quiet street summer table voice island wonder animal bridge color family strong "
    "together picture begin school country second measure heavy bread silver change forest road"
).split()

Body = dict[str, Any]


def words(count: int, seed: int) -> str:
    """`count` common words, each about one token."""
    draw = random.Random(seed)
    return " ".join(draw.choice(_WORDS) for _ in range(count))


def message(role: str, content: str) -> dict[str, str]:
    """Of a chat."""
    return {"role": role, "content": content}


def chat(messages: list[dict[str, str]], max_tokens: int) -> Body:
    """A streamed request that takes the likeliest token and goes on to the last one asked for."""
    return {
        "model": EMBEDDED_MODEL.id,
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0.0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def question(count: int, seed: int, max_tokens: int) -> Body:
    """A single message of about `count` tokens."""
    return chat([message("user", f"Write a story with: {words(count, seed)}.")], max_tokens)
