"""Ollama's responses and errors."""

import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from appliance.http.errors import ErrorObject
from appliance.store.callers.derived_models import DerivedMessage


class OllamaError(msgspec.Struct, frozen=True, kw_only=True):
    """An error, also as the last line of a stream: a text, which clients show as it is."""

    error: str


def ollama_error(_status: int, error: ErrorObject, _request_id: str) -> Any:
    """The body of an error."""
    return OllamaError(error=error.message)


def timestamp(seconds: float | None = None) -> str:
    """A Unix time, or now, as RFC 3339 in UTC."""
    zone = datetime.UTC
    at = (
        datetime.datetime.now(zone)
        if seconds is None
        else datetime.datetime.fromtimestamp(seconds, zone)
    )
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class OllamaVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The version of Ollama whose API this is."""

    version: str


class OllamaDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is."""

    parent_model: str = ""
    format: str = "gguf"
    family: str
    families: list[str]
    parameter_size: str
    """Such as `134.52M`."""
    quantization_level: str


class OllamaModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model on disk."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    """64 hexadecimal digits, the same as long as the model is."""
    details: OllamaDetails
    capabilities: list[str]


class OllamaModels(msgspec.Struct, frozen=True, kw_only=True):
    """All models on disk, the newest first."""

    models: list[OllamaModel]


class OllamaLoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in memory."""

    name: str
    model: str
    size: int
    digest: str
    details: OllamaDetails
    expires_at: str
    size_vram: int
    context_length: int


class OllamaLoadedModels(msgspec.Struct, frozen=True, kw_only=True):
    """All models in memory."""

    models: list[OllamaLoadedModel]


class ShownModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in detail."""

    license: str
    modelfile: str
    parameters: str | UnsetType = UNSET
    template: str
    system: str = ""
    messages: list[DerivedMessage] | UnsetType = UNSET
    """That every chat begins with, where there are some."""
    details: OllamaDetails
    model_info: dict[str, Any]
    """The metadata of its GGUF header."""
    capabilities: list[str]
    modified_at: str


class CalledWith(msgspec.Struct, frozen=True, kw_only=True):
    """A function and its arguments."""

    index: int
    name: str
    arguments: dict[str, Any]


class OllamaAnswerCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call."""

    id: str
    function: CalledWith


class OllamaAnswerMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reply, or the next piece of it."""

    role: Literal["assistant"]
    content: str
    thinking: str = ""
    tool_calls: list[OllamaAnswerCall] = []


class OllamaToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: "list[OllamaToken] | UnsetType" = UNSET


class OllamaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What both answers have; the fields with a default come with the last piece. Durations are
    nanoseconds."""

    model: str
    created_at: str
    done: bool
    logprobs: list[OllamaToken] | UnsetType = UNSET
    done_reason: Literal["stop", "length", "load", "unload"] | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class ChatAnswer(OllamaAnswer, frozen=True, kw_only=True):
    """The response to `POST /api/chat`, whole, or a line of it."""

    message: OllamaAnswerMessage


class GenerateAnswer(OllamaAnswer, frozen=True, kw_only=True):
    """The response to `POST /api/generate`, whole, or a line of it."""

    response: str
    thinking: str | UnsetType = UNSET
    context: list[int] | UnsetType = UNSET


class OllamaEmbeddings(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /api/embed`."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class OldEmbedding(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /api/embeddings`."""

    embedding: list[float]


class OllamaPullProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the answer to `POST /api/pull`."""

    status: str
    digest: str | UnsetType = UNSET
    total: int | UnsetType = UNSET
    """Bytes."""
    completed: int | UnsetType = UNSET
