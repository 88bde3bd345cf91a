"""Prompts that no earlier run has used, since servers may have those in a cache on disk.

Within a run the same seed gives the same text, and texts with as many words have as many tokens.
"""

import random
import uuid
from typing import Any

from appliance.config.schema import EMBEDDED_MODEL

RUN = uuid.uuid4().hex
"""Part of every seed."""
_WORDS = (  # noqa: SIM905 - a list would fill the page
    "river house green under paper often little found water music letter window people answer"
    " between story market winter simple train early light follow number quiet street summer table"
    " voice animal bridge color family strong together picture begin school country second measure"
    " heavy bread change forest road"
).split()
"""Each is one token for the measured models, also at the beginning of a text."""

Body = dict[str, Any]


def words(count: int, seed: str) -> str:
    """`count` common words of one token each."""
    draw = random.Random(f"{RUN} {seed}")
    return " ".join(draw.choice(_WORDS) for _ in range(count))


def message(role: str, content: str) -> dict[str, str]:
    """A message of a chat."""
    return {"role": role, "content": content}


def chat(messages: list[dict[str, str]], max_tokens: int, model: str = EMBEDDED_MODEL.id) -> Body:
    """A streamed request with greedy sampling; the reply always has `max_tokens` tokens."""
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
    """A single message of slightly more than `count` tokens.

    It has a system message, since the model's template would otherwise add its own.
    """
    user = message("user", f"Write a story with: {words(count, seed)}.")
    return chat([message("system", "You are a helpful assistant."), user], max_tokens)


def warm_up() -> Body:
    """The first request to a server, which is not measured."""
    return question(8, "warm-up", 8)
