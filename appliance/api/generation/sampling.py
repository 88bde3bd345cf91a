"""Sampling parameters, as requests of any API may have them, and their ranges."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from appliance.api.wire.bodies import Body
from appliance.engine.protocol import Accepted
from appliance.engine.types import SamplingParams

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
    `system_fingerprint` is the same. It is computed by itself, its whole prompt each time."""
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
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
    "reproducible",
)
"""Fields that mean the same in `SamplingParams`."""
