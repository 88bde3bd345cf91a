"""Sampling parameters, as requests of any API may have them, and their ranges."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from appliance.api.wire.bodies import Body
from appliance.engine.protocol import Accepted
from appliance.engine.types import SAMPLERS, SamplingParams
from appliance.errors import RequestError

Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
SEEDS = 2**32 - 1
"""How many seeds llama.cpp has; it takes the last number of 32 bits to mean any seed."""
ANY_SEED = -1
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
StopTexts = StopText | Annotated[list[StopText], Meta(max_length=16)]

TopK = Annotated[int, Meta(ge=0, le=2**31 - 1)]
RepeatPenalty = Annotated[float, Meta(ge=0.1, le=10)]


Penalty = Annotated[float, Meta(ge=-2, le=2)]
DryMultiplier = Annotated[float, Meta(ge=0, le=100)]
DryBase = Annotated[float, Meta(ge=1, le=100)]
DryLength = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Sigmas = Annotated[float, Meta(ge=-1, le=1000)]
DynamicRange = Annotated[float, Meta(ge=0, le=2)]
Exponent = Annotated[float, Meta(ge=0, le=100)]
MirostatVersion = Literal[0, 1, 2]
MirostatTau = Annotated[float, Meta(ge=0, le=100)]
MirostatEta = Annotated[float, Meta(ge=0, le=1)]
LastN = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
Breaker = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[^\x00]+$")]
SamplerName = Annotated[str, Meta(max_length=32)]
Breakers = Annotated[list[Breaker], Meta(min_length=1, max_length=16)]
SamplerLetters = Annotated[str, Meta(max_length=32)]
_LETTERS = dict(zip("edskypmxti", SAMPLERS, strict=True))
_NAMES = {
    **{name: name for name in SAMPLERS},
    **{name.replace("_", between): name for name in SAMPLERS for between in ("-", "")},
    "nucleus": "top_p",
    "temp": "temperature",
    "typ": "typ_p",
    "typical_p": "typ_p",
}


def sampler_order(given: Sequence[str]) -> tuple[str, ...]:
    """Samplers by llama.cpp's names, however they are written, or by its letters.

    Raises:
        RequestError: one is unknown.
    """
    known = _LETTERS if isinstance(given, str) else _NAMES
    found = []
    for index, name in enumerate(given):
        if name.lower() not in known:
            param = "samplers" if isinstance(given, str) else f"samplers[{index}]"
            raise RequestError(
                f"{param}: {name!r} is no sampler; there are {', '.join(SAMPLERS)}", param=param
            )
        found.append(known[name.lower()])
    # An empty list is not the same as none: the token is drawn from all.
    return tuple(found) or ("penalties",)


class ReplyLimit(NamedTuple):
    """How long a reply may become, in tokens."""

    requested: int | None
    """By the caller; None: as long as possible."""
    most: int
    """`limits.max_response_tokens`; 0: no limit."""

    @property
    def tokens(self) -> int | None:
        """What the engine may generate; None: as many as the context holds."""
        if not self.most:
            return self.requested
        return min(self.requested or self.most, self.most)

    def warning(self, accepted: Accepted | None) -> str | None:
        """Says that the caller can't get as many tokens as it requested; None: it can.

        `accepted`: of the request, as far as it is known.
        """
        if self.requested is None:
            return None
        if self.most and self.requested > self.most:
            return (
                f"{self.requested} tokens were requested, and a reply may have {self.most}: "
                "limits.max_response_tokens"
            )
        if accepted is None or accepted.n_ctx is None:
            return None
        room = accepted.n_ctx - accepted.prompt_tokens
        if self.requested <= room:
            return None
        return f"{self.requested} tokens were requested, and the context has room for {room}"


class Sampling(Body, kw_only=True, frozen=True):
    """Sampling fields, named as OpenAI's or else llama.cpp's are. Null means the default."""

    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repeat_penalty: RepeatPenalty | None = None
    seed: Seed | None = None
    """Null, and -1 as clients of llama.cpp and Ollama write it: any."""
    reproducible: bool | None = None
    """With a seed: the same text whatever runs beside it and was cached, as long as the reply's
    `system_fingerprint` is the same. It is computed by itself, in steps that are the same each
    time."""
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repeat_last_n: LastN | None = None
    """Tokens that the penalties look back on; -1: all."""
    dry_multiplier: DryMultiplier | None = None
    """0: no DRY, which makes it harder to go on with a repetition, the longer it is."""
    dry_base: DryBase | None = None
    dry_allowed_length: DryLength | None = None
    dry_penalty_last_n: LastN | None = None
    dry_sequence_breakers: Breakers | None = None
    """Texts that no repetition goes beyond."""
    top_n_sigma: Sigmas | None = None
    """Only tokens within so many standard deviations of the likeliest; 0 or -1: off."""
    typical_p: Share | None = None
    """1: off."""
    xtc_probability: Share | None = None
    """0: no XTC, which leaves out the likeliest tokens now and then."""
    xtc_threshold: Share | None = None
    dynatemp_range: DynamicRange | None = None
    """How far the temperature moves with the entropy; 0: it doesn't."""
    dynatemp_exponent: Exponent | None = None
    mirostat: MirostatVersion | None = None
    """Its version, in place of all samplers but the temperature; 0: off."""
    mirostat_tau: MirostatTau | None = None
    mirostat_eta: MirostatEta | None = None
    samplers: Annotated[list[SamplerName], Meta(max_length=32)] | SamplerLetters | None = None
    """Which are applied, and in which order: llama.cpp's names, or its letters for them."""
    stop: StopTexts | None = None
    max_tokens: Tokens | None = None
    ignore_eos: bool | None = None
    """The reply is as long as allowed: the model cannot end it."""

    def params(
        self, max_response_tokens: int, defaults: Mapping[str, Any] | None = None
    ) -> SamplingParams:
        """For the engine; `max_response_tokens`: see `ReplyLimit.most`, `defaults`: what holds for
        the model where this says nothing."""
        given = {name: value for name in _SAME_NAMES if (value := getattr(self, name)) is not None}
        if self.seed is not None and self.seed != ANY_SEED:
            given["seed"] = self.seed % SEEDS
        if self.stop is not None:
            given["stop"] = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if self.dry_sequence_breakers is not None:
            given["dry_sequence_breakers"] = tuple(self.dry_sequence_breakers)
        if self.samplers is not None:
            given["samplers"] = sampler_order(self.samplers)
        given |= self.extra_params()
        return with_defaults(given, self.requested_tokens(), max_response_tokens, defaults)

    def extra_params(self) -> dict[str, Any]:
        """Parameters that only some endpoints take."""
        return {}

    def requested_tokens(self) -> int | None:
        """The longest reply that the caller wants."""
        return self.max_tokens


def with_defaults(
    given: Mapping[str, Any],
    requested: int | None,
    most: int,
    defaults: Mapping[str, Any] | None,
) -> SamplingParams:
    """For the engine.

    Args:
        given: by the request.
        requested: tokens that the caller wants.
        most: see `ReplyLimit.most`.
        defaults: what holds for the model where the request says nothing.
    """
    filled = {**(defaults or {}), **given}
    limit = ReplyLimit(requested or filled.get("max_tokens"), most)
    return SamplingParams(**{**filled, "max_tokens": limit.tokens})


_SAME_NAMES = (
    *("temperature", "top_p", "top_k", "min_p"),
    *("repeat_penalty", "frequency_penalty", "presence_penalty", "ignore_eos"),
    *("reproducible", "repeat_last_n", "dry_multiplier", "dry_base", "dry_allowed_length"),
    *("dry_penalty_last_n", "top_n_sigma", "typical_p", "xtc_probability", "xtc_threshold"),
    *("dynatemp_range", "dynatemp_exponent", "mirostat", "mirostat_tau", "mirostat_eta"),
)
"""Fields that mean the same in `SamplingParams`."""
