"""llama-server's responses."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType


class TokenPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A token and its text, or its bytes if they are a part of a character."""

    id: int
    piece: str | list[int]


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /tokenize`."""

    tokens: list[int | TokenPiece]


class DetokenizedText(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /detokenize`."""

    content: str


class RenderedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /apply-template`."""

    prompt: str


class Modalities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model reads beside text."""

    vision: bool = False
    audio: bool = False


class ServerProps(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `GET /props`."""

    default_generation_settings: dict[str, Any]
    """`n_ctx`, and the sampling parameters as `params`."""
    total_slots: int
    model_alias: str
    model_path: str
    """The file's name alone."""
    chat_template: str
    bos_token: str
    """Its text; empty: there is none, or the model is not loaded. The same of `eos_token`."""
    eos_token: str
    modalities: Modalities
    build_info: str
    is_sleeping: bool = False
    """It is not loaded; the next request loads it."""


class SlotState(msgspec.Struct, frozen=True, kw_only=True):
    """A place for a sequence. What is in it is nobody's business."""

    id: int
    n_ctx: int
    is_processing: bool


class LlamaTimings(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that were computed, and milliseconds."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float
    predicted_per_second: float


class LlamaToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and the logarithm of its probability."""

    id: int
    """-1: of a model that runs elsewhere."""
    token: str
    bytes: list[int]
    logprob: float


class LlamaProbabilities(LlamaToken, frozen=True, kw_only=True):
    """The token that was sampled, and the likeliest in its place."""

    top_logprobs: list[LlamaToken]


class LlamaPiece(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /completion` and `POST /infill`, whole, or a piece of it. What has a
    default comes at the end."""

    content: str
    stop: bool
    model: str
    tokens: list[int] = []
    completion_probabilities: list[LlamaProbabilities] | UnsetType = UNSET
    """With `n_probs`."""
    index: int = 0
    id_slot: int = -1
    tokens_predicted: int = 0
    tokens_evaluated: int = 0
    tokens_cached: int | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET
    stop_type: Literal["eos", "limit", "word"] | UnsetType = UNSET
    stopping_word: str | UnsetType = UNSET
    generation_settings: dict[str, Any] | UnsetType = UNSET
    timings: LlamaTimings | UnsetType = UNSET


class RankedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document's text."""

    text: str


class RankedResult(msgspec.Struct, frozen=True, kw_only=True):
    """How well a document fits the query."""

    index: int
    relevance_score: float
    document: RankedDocument | UnsetType = UNSET


class RankUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of all pairs together."""

    prompt_tokens: int
    total_tokens: int


class RankedList(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /v1/rerank`, the best first."""

    object: Literal["list"] = "list"
    model: str
    results: list[RankedResult]
    usage: RankUsage


class TextScore(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the response to a request with `texts`."""

    index: int
    score: float
    text: str | UnsetType = UNSET
