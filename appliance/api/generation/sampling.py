"""Sampling parameters, as requests of any API may have them, and their ranges."""

from typing import Annotated, Any

from msgspec import Meta

from appliance.api.wire.bodies import Body
from appliance.engine.types import SamplingParams

Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
SEEDS = 2**32 - 1
"""How many seeds llama.cpp has; it takes the last number of 32 bits to mean any seed."""
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
StopTexts = StopText | Annotated[list[StopText], Meta(max_length=16)]

TopK = Annotated[int, Meta(ge=0, le=2**31 - 1)]
RepeatPenalty = Annotated[float, Meta(ge=0.1, le=10)]


class Sampling(Body, kw_only=True, frozen=True):
    """Sampling fields, named as OpenAI's or else llama.cpp's are. Null means the default."""

    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repeat_penalty: RepeatPenalty | None = None
    seed: Seed | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    stop: StopTexts | None = None
    max_tokens: Tokens | None = None
    ignore_eos: bool | None = None
    """The reply is as long as allowed: the model cannot end it."""

    def params(self, max_response_tokens: int) -> SamplingParams:
        """For the engine; at most `max_response_tokens`."""
        given = {name: value for name in _SAME_NAMES if (value := getattr(self, name)) is not None}
        if self.seed is not None:
            given["seed"] = self.seed % SEEDS
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        requested = self.requested_tokens()
        limit = min(requested or max_response_tokens, max_response_tokens)
        return SamplingParams(**given, **self.extra_params(), stop=stop, max_tokens=limit)

    def extra_params(self) -> dict[str, Any]:
        """Parameters that only some endpoints take."""
        return {}

    def requested_tokens(self) -> int | None:
        """The longest reply that the caller wants."""
        return self.max_tokens


_SAME_NAMES = (
    *("temperature", "top_p", "top_k", "min_p"),
    *("repeat_penalty", "frequency_penalty", "presence_penalty", "ignore_eos"),
)
"""Fields that mean the same in `SamplingParams`."""
