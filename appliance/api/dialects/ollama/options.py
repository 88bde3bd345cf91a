"""Ollama's `options`, for the engine."""

from collections.abc import Mapping
from typing import Any

from appliance.api.generation.sampling import with_defaults
from appliance.engine.types import SamplingParams
from appliance.models.local.ollama_options import OllamaOptions


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
