"""Ollama's `options` and `keep_alive`."""

import math
import re
from typing import Any

import msgspec

from appliance.api.generation.sampling import SEEDS
from appliance.engine.types import SamplingParams
from appliance.errors import RequestError

_FLOATS = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.1, 10.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
"""What is the same here, with the range that makes sense: others are moved to its end."""
_INTEGERS = ("top_k", "num_predict", "seed")
_STOPS = 64
_PIECE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class GenerationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options as sampling parameters."""

    given: dict[str, Any]
    """By their names in `SamplingParams`."""
    most: int | None
    """Tokens of the reply; None: no limit."""
    ignored: str | None
    """A sentence about others."""

    def params(
        self, most_tokens: int, *, json_schema: str | None, logprobs: int | None
    ) -> SamplingParams:
        """For the engine; at most `most_tokens`."""
        limit = most_tokens if self.most is None else min(self.most, most_tokens)
        return SamplingParams(
            **self.given, max_tokens=limit, json_schema=json_schema, logprobs=logprobs
        )


def read_options(options: dict[str, Any] | None) -> GenerationOptions:
    """The options of a request. Those that aren't known are ignored, as are nulls.

    Raises:
        RequestError: one has the wrong type; the sentence is Ollama's.
    """
    given: dict[str, Any] = {}
    ignored = []
    most = None
    for name, value in (options or {}).items():
        if value is None:
            continue
        if name in _FLOATS:
            low, high = _FLOATS[name]
            given[name] = min(max(_number(name, value, "float32"), low), high)
        elif name in _INTEGERS:
            number = int(_number(name, value, "integer"))
            if name == "top_k":
                given[name] = min(max(number, 0), 2**31 - 1)
            elif name == "seed" and number > 0:
                given[name] = number % SEEDS
            elif name == "num_predict" and number > 0:
                most = number
        elif name == "stop":
            given[name] = _stops(value)
        else:
            ignored.append(name if name.isprintable() and len(name) <= 64 else "?")
    sentence = f"ignored: {', '.join(f'options.{name}' for name in ignored[:20])}"
    return GenerationOptions(given=given, most=most, ignored=sentence if ignored else None)


def _number(name: str, value: Any, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RequestError(f'option "{name}" must be of type {kind}', param=f"options.{name}")
    return value


def _stops(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RequestError('option "stop" must be of type array', param="options.stop")
    return tuple(filter(None, texts))[:_STOPS]


def seconds_of(keep_alive: float | str) -> float:
    """How long a model is to be kept; infinite: for ever.

    Raises:
        RequestError: it is no duration.
    """
    if isinstance(keep_alive, str):
        text = keep_alive.strip()
        sign, text = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
        pieces = _PIECE.findall(text)
        if text.isdigit():
            found = sign * float(text)
        elif pieces and "".join(number + unit for number, unit in pieces) == text:
            found = sign * sum(float(number) * _SECONDS[unit] for number, unit in pieces)
        else:
            raise RequestError(
                f"keep_alive: {keep_alive!r} is no duration such as 5m, or seconds",
                param="keep_alive",
            )
    else:
        found = keep_alive
    return math.inf if found < 0 else found
