"""Requests like those of other servers' own tests, and what must hold of the answers."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

REAL = "smollm2-135m-instruct"
FAKE = "fake"
"""The scripted model."""


class _Nowhere:
    """What a path leads to that the answer doesn't have."""

    def __repr__(self) -> str:
        return "nothing"


NOWHERE = _Nowhere()


@dataclass(frozen=True)
class Row:
    """One request."""

    whose: str
    """The server whose tests send it."""
    what: str
    """In a few words."""
    send: Any
    """The body; bytes are sent as they are."""
    holds: Mapping[str, Any]
    """Path in the answer, `choices.0.text` or `@header`, → a value, a type, a pattern to be found,
    or a predicate. An event stream is `events` with the data of all that aren't `[DONE]`; lines of
    JSON are `lines`."""
    status: int = 200
    path: str = ""
    """Empty: that of the table."""

    def __str__(self) -> str:
        return f"{self.whose}: {self.what}"

    def check(self, http: httpx.Client, path: str = "") -> None:
        """Send it, and look at the answer.

        Raises:
            AssertionError: something doesn't hold.
        """
        headers = {"Content-Type": "application/json"}
        content = self.send if isinstance(self.send, bytes) else json.dumps(self.send).encode()
        response = http.post(self.path or path, content=content, headers=headers)
        assert response.status_code == self.status, response.text[:2000]
        found = read(response)
        for where, wanted in self.holds.items():
            value = look(response, found, where)
            assert _fits(value, wanted), f"{where}: {value!r}, in {str(found)[:2000]}"


def read(response: httpx.Response) -> Any:
    """The answer, whatever form it has."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind == "text/event-stream":
        return {"events": events_of(response.text)}
    if kind == "application/x-ndjson":
        return {"lines": [json.loads(line) for line in response.text.splitlines()]}
    return response.json() if kind == "application/json" else {"text": response.text}


def events_of(text: str) -> list[Any]:
    """The data of an event stream's events, without `[DONE]`."""
    data = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def look(response: httpx.Response, found: Any, where: str) -> Any:
    """What is at a path; `NOWHERE` if nothing is."""
    if where.startswith("@"):
        return response.headers.get(where[1:], NOWHERE)
    for step in where.split(".") if where else ():
        try:
            found = found[int(step) if isinstance(found, list) else step]
        except (KeyError, IndexError, TypeError, ValueError):
            return NOWHERE
    return found


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, type):
        return isinstance(value, wanted)
    if isinstance(wanted, re.Pattern):
        return isinstance(value, str) and bool(wanted.search(value))
    return bool(wanted(value)) if callable(wanted) else bool(value == wanted)


def absent(value: Any) -> bool:
    """There is nothing at the path, or null."""
    return value is None or value is NOWHERE


def some(value: Any) -> bool:
    """Neither empty nor zero."""
    return value is not NOWHERE and bool(value)


def count(number: int) -> Any:
    """A list or a text of that length."""
    return lambda value: isinstance(value, Sequence) and len(value) == number


def text_of(events: Sequence[Any]) -> str:
    """What the first choice's chunks add up to."""
    choices = [one["choices"][0] for one in events if one.get("choices")]
    return "".join(it.get("text") or it.get("delta", {}).get("content") or "" for it in choices)


def refused(*words: str) -> Mapping[str, Any]:
    """An error object in OpenAI's form that has these words."""
    return {
        "error.type": "invalid_request_error",
        "error.message": lambda it: isinstance(it, str) and all(word in it for word in words),
        "error.code": lambda it: it is not NOWHERE,
        "error.param": lambda it: it is not NOWHERE,
    }


def schema(**properties: Any) -> Mapping[str, Any]:
    """Of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": schema(
            city={"type": "string", "maxLength": 20}, unit={"enum": ["celsius", "fahrenheit"]}
        ),
    },
}
"""A tool in the form of chat completions and of Ollama."""
ADD: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": schema(
            a={"type": "integer", "minimum": 0, "maximum": 99},
            b={"type": "integer", "minimum": 0, "maximum": 99},
        ),
    },
}
