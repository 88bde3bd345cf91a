"""Sampling parameters as requests of any dialect may name them, and the ranges they are held to."""

from typing import Annotated, Any

from msgspec import Meta

from appliance.api.wire.bodies import Body
from appliance.engine.types import SamplingParams

Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
SEEDS = 2**32 - 1
"""Of llama.cpp's, which takes the last number of 32 bits for "any"."""
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
StopTexts = StopText | Annotated[list[StopText], Meta(max_length=16)]

TopK = Annotated[int, Meta(ge=0, le=2**31 - 1)]
RepeatPenalty = Annotated[float, Meta(ge=0.1, le=10)]


class Sampling(Body, kw_only=True, frozen=True):
    """Sampling fields, OpenAI's names and llama.cpp's beside them. Null means the default."""

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
    """The reply is as long as it may be: the model cannot end it."""

    def params(self, max_response_tokens: int) -> SamplingParams:
        """For the engine; at most `max_response_tokens`."""
        given = {name: value for name in _PLAIN if (value := getattr(self, name)) is not None}
        if self.seed is not None:
            given["seed"] = self.seed % SEEDS
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        wanted = self.wanted_tokens()
        limit = max_response_tokens if wanted is None else min(wanted, max_response_tokens)
        return SamplingParams(**given, **self.further(), stop=stop, max_tokens=limit)

    def further(self) -> dict[str, Any]:
        """Parameters that only some endpoints take."""
        return {}

    def wanted_tokens(self) -> int | None:
        """How long a reply the caller wants."""
        return self.max_tokens


_PLAIN = (
    *("temperature", "top_p", "top_k", "min_p"),
    *("repeat_penalty", "frequency_penalty", "presence_penalty", "ignore_eos"),
)
"""Fields that mean what `SamplingParams` means by the same name."""
