"""Sampling parameters in llama-server's form."""

from typing import Any

import msgspec

from appliance.engine.types import DEFAULT_SAMPLERS, SamplingParams

HIDDEN = {"logit_bias", "grammar", "json_schema", "regex", "logprobs", "seed", "max_tokens"}
"""What a request alone has."""


def shown_settings(sampling: SamplingParams) -> dict[str, Any]:
    """By their names; those that are off are shown as well."""
    found = {
        name: value
        for name, value in msgspec.structs.asdict(sampling).items()
        if name not in HIDDEN
    }
    found["samplers"] = list(sampling.samplers or DEFAULT_SAMPLERS)
    return found


def generation_settings(sampling: SamplingParams, seed: int | None) -> dict[str, Any]:
    """How a reply was generated; `seed`: that was used."""
    return {
        **shown_settings(sampling),
        "n_predict": -1 if sampling.max_tokens is None else sampling.max_tokens,
        "max_tokens": -1 if sampling.max_tokens is None else sampling.max_tokens,
        "n_probs": sampling.logprobs or 0,
        "seed": sampling.seed if seed is None else seed,
        "logit_bias": [list(pair) for pair in sampling.logit_bias],
        "grammar": sampling.grammar or "",
    }
