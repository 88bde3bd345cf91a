"""Ollama's `options` and `keep_alive`, for the engine."""

import math
import re
from collections.abc import Mapping
from typing import Any

from appliance.api.generation.sampling import with_defaults
from appliance.engine.types import SamplingParams
from appliance.errors import RequestError
from appliance.models.local.ollama_options import OllamaOptions

_PIECE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def params_of(
    options: OllamaOptions,
    most_tokens: int,
    defaults: Mapping[str, Any] | None = None,
    *,
    json_schema: str | None,
    logprobs: int | None,
) -> SamplingParams:
    """For the engine; see `sampling.with_defaults`."""
    given = {**options.given, "json_schema": json_schema, "logprobs": logprobs}
    return with_defaults(given, options.most, most_tokens, defaults)


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
