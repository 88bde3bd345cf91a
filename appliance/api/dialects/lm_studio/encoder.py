"""Encodes replies as OpenAI's, with LM Studio's figures in those that are not streamed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from appliance.api.dialects.lm_studio.answers import (
    GenerationStats,
    LmStudioChat,
    LmStudioText,
    Runtime,
    UsedModel,
)
from appliance.api.dialects.openai.encoder import ChatEncoder, TextEncoder
from appliance.api.generation.encoder import ReplyCollector
from appliance.engine.protocol import Finished

REASONS = {"length": "maxPredictedTokensReached", "tool_calls": "toolCalls"}


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole answer has beside OpenAI's fields."""

    model_info: UsedModel
    runtime: Runtime

    def of(self, reply: ReplyCollector) -> dict[str, Any]:
        """For the answer; `reply` has finished: the first choice."""
        assert reply.finished
        return {"stats": _stats(reply.finished), **msgspec.structs.asdict(self)}


class LmStudioChatEncoder(ChatEncoder):
    """Of chats."""

    figures: Figures

    def whole(self, replies: Sequence[ReplyCollector]) -> LmStudioChat:
        """The answer that is not streamed."""
        plain = msgspec.structs.asdict(super().whole(replies))
        return LmStudioChat(**plain, **self.figures.of(replies[0]))


class LmStudioTextEncoder(TextEncoder):
    """Of texts."""

    figures: Figures

    def whole(self, replies: Sequence[ReplyCollector]) -> LmStudioText:
        """The answer that is not streamed."""
        plain = msgspec.structs.asdict(super().whole(replies))
        return LmStudioText(**plain, **self.figures.of(replies[0]))


def _stats(event: Finished) -> GenerationStats:
    timings = event.timings
    ended: Any = "stopStringFound" if event.stop_text else "eosFound"
    return GenerationStats(
        tokens_per_second=round(event.completion_tokens / max(timings.decode, 1e-6), 2),
        time_to_first_token=round(timings.queued + timings.prefill, 4),
        generation_time=round(timings.decode, 4),
        stop_reason=REASONS.get(event.reason, ended),
    )
