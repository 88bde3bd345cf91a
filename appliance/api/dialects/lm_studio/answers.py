"""LM Studio's responses."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from appliance.api.dialects.openai.answers import (
    ChatCompletion,
    ChatCompletionChunk,
    TextCompletion,
)


class LmStudioModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model on this machine."""

    id: str
    object: Literal["model"] = "model"
    type: Literal["llm", "embeddings"]
    publisher: str
    arch: str
    compatibility_type: Literal["gguf"] = "gguf"
    quantization: str
    state: Literal["loaded", "not-loaded", "loading"]
    max_context_length: int
    loaded_context_length: int | UnsetType = UNSET
    capabilities: list[Literal["tool_use"]]


class LmStudioModels(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, the default first."""

    object: Literal["list"] = "list"
    data: list[LmStudioModel]


class GenerationStats(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a reply was, in seconds, and why it ended."""

    tokens_per_second: float
    time_to_first_token: float
    generation_time: float
    stop_reason: Literal[
        "eosFound", "maxPredictedTokensReached", "stopStringFound", "toolCalls", "userStopped"
    ]


class UsedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model that answered."""

    arch: str
    quant: str
    format: Literal["gguf"] = "gguf"
    context_length: int


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """What computes it."""

    name: str
    version: str
    supported_formats: list[str]


class LmStudioChat(ChatCompletion, frozen=True, kw_only=True):
    """The response to `POST /api/v0/chat/completions`, not streamed."""

    stats: GenerationStats
    model_info: UsedModel
    runtime: Runtime


class LmStudioText(TextCompletion, frozen=True, kw_only=True):
    """The response to `POST /api/v0/completions`, not streamed, and the event that ends a choice
    of a streamed one."""

    stats: GenerationStats
    model_info: UsedModel
    runtime: Runtime


class LmStudioChunk(ChatCompletionChunk, frozen=True, kw_only=True):
    """The event that ends a choice of a streamed chat."""

    stats: GenerationStats
    model_info: UsedModel
    runtime: Runtime
