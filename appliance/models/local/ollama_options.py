"""Ollama's options: as requests have them, and as its store keeps them with a model."""

import math
from typing import Any, TypeVar

import msgspec

from appliance.errors import RequestError

_FLOATS = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.1, 10.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "typical_p": (0.0, 1.0),
    "mirostat_tau": (0.0, 100.0),
    "mirostat_eta": (0.0, 1.0),
}
"""What is the same here, with the range that makes sense: others are moved to its end."""
_INTEGERS = {"top_k": (0, 2**31 - 1), "repeat_last_n": (-1, 2**31 - 1), "mirostat": (0, 2)}
_COUNTS = ("num_predict", "seed")
"""Anything below 1 is none."""
N = TypeVar("N", int, float)
_STOPS = 64
_SEEDS = 2**32 - 1
"""As many as llama.cpp has."""


class OllamaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options as sampling parameters."""

    given: dict[str, Any]
    """By their names in `engine.types.SamplingParams`."""
    most: int | None
    """Tokens of the reply; None: no limit."""
    ignored: str | None
    """A sentence about others."""


def read_options(options: dict[str, Any] | None) -> OllamaOptions:
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
            given[name] = _within(_number(name, value, "float32"), _FLOATS[name])
        elif name in _INTEGERS:
            given[name] = _within(int(_number(name, value, "integer")), _INTEGERS[name])
        elif name in _COUNTS:
            number = int(_number(name, value, "integer"))
            if number > 0 and name == "seed":
                given[name] = number % _SEEDS
            elif number > 0:
                most = number
        elif name == "stop":
            given[name] = _stops(value)
        else:
            ignored.append(name if name.isprintable() and len(name) <= 64 else "?")
    sentence = f"ignored: {', '.join(f'options.{name}' for name in ignored[:20])}"
    return OllamaOptions(given=given, most=most, ignored=sentence if ignored else None)


def _within(number: N, bounds: tuple[N, N]) -> N:
    return min(max(number, bounds[0]), bounds[1])


def _number(name: str, value: Any, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RequestError(f'option "{name}" must be of type {kind}', param=f"options.{name}")
    return value


def _stops(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RequestError('option "stop" must be of type array', param="options.stop")
    return tuple(filter(None, texts))[:_STOPS]
