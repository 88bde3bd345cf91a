"""Encodes replies as OpenAI's, with LM Studio's figures where a choice ends."""

from collections.abc import Sequence
from typing import Any

import msgspec

from appliance.api.dialects.lm_studio.answers import (
    GenerationStats,
    LmStudioChat,
    LmStudioChunk,
    LmStudioText,
    Runtime,
    UsedModel,
)
from appliance.api.dialects.openai.answers import (
    ChatChunkChoice,
    ChatCompletionChunk,
    CompletionUsage,
    TextChoice,
    TextCompletion,
)
from appliance.api.dialects.openai.encoder import ChatEncoder, TextEncoder
from appliance.api.generation.encoder import ReplyCollector
from appliance.engine.protocol import Finished

REASONS = {"length": "maxPredictedTokensReached", "tool_calls": "toolCalls"}


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer has beside OpenAI's fields."""

    model_info: UsedModel
    runtime: Runtime

    def of(self, finished: Finished | None) -> dict[str, Any]:
        """For the answer, or the end of a choice, which has finished."""
        assert finished
        return {"stats": _stats(finished), **msgspec.structs.asdict(self)}


class LmStudioChatEncoder(ChatEncoder):
    """Of chats."""

    figures: Figures

    def whole(self, replies: Sequence[ReplyCollector]) -> LmStudioChat:
        """The answer that is not streamed."""
        plain = msgspec.structs.asdict(super().whole(replies))
        return LmStudioChat(**plain, **self.figures.of(replies[0].finished))

    def _chunk(
        self, choices: list[ChatChunkChoice], usage: CompletionUsage | None
    ) -> ChatCompletionChunk:
        plain = super()._chunk(choices, usage)
        if not choices or choices[0].finish_reason is None:
            return plain
        figures = self.figures.of(self._finished[choices[0].index])
        return LmStudioChunk(**msgspec.structs.asdict(plain), **figures)


class LmStudioTextEncoder(TextEncoder):
    """Of texts."""

    figures: Figures

    def whole(self, replies: Sequence[ReplyCollector]) -> LmStudioText:
        """The answer that is not streamed."""
        plain = msgspec.structs.asdict(super().whole(replies))
        return LmStudioText(**plain, **self.figures.of(replies[0].finished))

    def _chunk(self, choices: list[TextChoice], usage: CompletionUsage | None) -> TextCompletion:
        plain = super()._chunk(choices, usage)
        # The whole answer is built of the same; its choices are not noted as finished.
        finished = self._finished.get(choices[0].index) if choices else None
        if finished is None:
            return plain
        return LmStudioText(**msgspec.structs.asdict(plain), **self.figures.of(finished))


def _stats(event: Finished) -> GenerationStats:
    timings = event.timings
    ended: Any = "stopStringFound" if event.stop_text else "eosFound"
    return GenerationStats(
        tokens_per_second=round(event.completion_tokens / max(timings.decode, 1e-6), 2),
        time_to_first_token=round(timings.queued + timings.prefill, 4),
        generation_time=round(timings.decode, 4),
        stop_reason=REASONS.get(event.reason, ended),
    )
