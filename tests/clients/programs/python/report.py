"""What the programs share: where the appliance is, what to ask, and how to report what happened.

The model `fake` answers `echo:TEXT`, up to a byte 3 or the end of the message, with TEXT. A program
tries each function that it gives to `report`, which prints a line of JSON: the API, and for each
function what went wrong.
"""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

URL = os.environ["APPLIANCE_URL"]
REAL_URL = os.environ["APPLIANCE_REAL_URL"]
FAKE = "fake"
REAL = os.environ["APPLIANCE_REAL_MODEL"]
KEY = "none"

CHAT = "Chat Completions"
RESPONSES = "Responses"
ANTHROPIC = "Anthropic Messages"
OLLAMA = "Ollama"
EMBEDDINGS = "Embeddings"

HELLO = "echo:Hello there"
ANSWER = "It is sunny."
WHO = "Who wrote the first program?"


class Person(BaseModel):
    """A person."""

    model_config = ConfigDict(extra="forbid")

    name: Literal["Ada", "Grace"]
    age: int = Field(ge=0, le=150)


def asked_for_call(name: str = "get_weather", **arguments: Any) -> str:
    """A message that makes the model call a function."""
    written = json.dumps({"name": name, "arguments": arguments or {"city": "Oslo"}})
    return f"echo:<tool_call>\n{written}\n</tool_call>\x03"


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: The name of the city.
    """
    assert city == "Oslo", city
    return f"echo:{ANSWER}\x03"


def equal(found: Any, expected: Any) -> None:
    """Raise `AssertionError` unless they are equal."""
    assert found == expected, f"{found!r} instead of {expected!r}"


def report(api: str, **tries: Callable[[], None]) -> None:
    """Try all and print what happened; underscores in the names become blanks."""
    found: dict[str, str] = {}
    for name, tried in tries.items():
        try:
            tried()
            found[name.replace("_", " ")] = ""
        except Exception:  # noqa: BLE001 - whatever a client raises is what it did wrong
            found[name.replace("_", " ")] = traceback.format_exc()[-3000:]
    print(json.dumps({"api": api, "tried": found}), flush=True)
