"""What answers contain: the types that `/openapi.json` describes and that tests hold answers to."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from appliance.auth.keys.records import Key
from appliance.auth.keys.scopes import Scope
from appliance.engine.base import Status as EngineStatus
from appliance.engine.protocol import CachedFrom, Trust
from appliance.metrics.dashboard import Figures
from appliance.store.sessions import Message, Session


class ErrorObject(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: a sentence for people, a code for programs, the field at fault."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every error."""

    error: ErrorObject


# -- OpenAI's ------------------------------------------------------------------------------------


class PromptTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Of the prompt's tokens, those that did not have to be computed, and where they were."""

    cached_tokens: int
    cached_from: CachedFrom | None


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of all choices together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class EmbeddingUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of all inputs together."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingObject(msgspec.Struct, frozen=True, kw_only=True):
    """The vector of one input: numbers, or base64 of 32-bit floats, little-endian."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingList(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of `POST /v1/embeddings`, in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage


class AnswerFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function and the JSON text of its arguments."""

    name: str
    arguments: str


class AnswerToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that the model made."""

    id: str
    type: Literal["function"]
    function: AnswerFunction


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model's message."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str = ""
    tool_calls: list[AnswerToolCall] = []


class ChatToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, its text as UTF-8, and the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class SampledChatToken(ChatToken, frozen=True, kw_only=True):
    """The token that was sampled, with the likeliest ones in its place."""

    top_logprobs: list[ChatToken]


class ChatLogprobs(msgspec.Struct, frozen=True, kw_only=True):
    """Of every token of the message."""

    content: list[SampledChatToken]
    refusal: None


Finish = Literal["stop", "length", "tool_calls"]


class ChatChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the messages that were asked for."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: Finish


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer of `POST /v1/chat/completions`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: None
    service_tier: Literal["default"] | UnsetType = UNSET
    choices: list[ChatChoice]
    usage: TokenUsage


class FunctionDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """More of a function's call; the name comes first."""

    arguments: str
    name: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """More of a call; id and type come first."""

    index: int
    function: FunctionDelta
    id: str | None = None
    type: Literal["function"] | None = None


class MessageDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """More of a message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChatChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """More of one of the messages."""

    index: int
    delta: MessageDelta
    logprobs: ChatLogprobs | None
    finish_reason: Finish | None


class ChatCompletionChunk(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a streamed `POST /v1/chat/completions`, before `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: None
    service_tier: Literal["default"] | UnsetType = UNSET
    choices: list[ChatChunkChoice]
    usage: TokenUsage | None


class TextLogprobs(msgspec.Struct, frozen=True, kw_only=True):
    """Of every token of the text; `text_offset` is in characters."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the texts that were asked for, or more of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Finish | None


class TextCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of `POST /v1/completions`, and the data of a streamed one before `[DONE]`.

    The last four fields, the original service's, are those of a whole answer.
    """

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: None
    choices: list[TextChoice]
    usage: TokenUsage | None
    text: str | UnsetType = UNSET
    tokens: int | UnsetType = UNSET
    duration_seconds: float | UnsetType = UNSET
    tokens_per_second: float | UnsetType = UNSET


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """A model, as OpenAI and the original service tell of it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "appliance"
    name: str
    context_length: int
    """Tokens that a chat may span; what it was trained with until it is loaded; 0: unknown."""
    quantization: str
    """Empty: unknown, like the device until it is loaded."""
    device: str
    loaded: bool
    downloaded: bool
    """False: its file is not here, and `detail` says what gets it."""
    detail: str | None


class ModelObjects(msgspec.Struct, frozen=True, kw_only=True):
    """All models, and their names."""

    object: Literal["list"] = "list"
    data: list[ModelObject]
    models: list[str]


# -- stored chats --------------------------------------------------------------------------------


class Sessions(msgspec.Struct, frozen=True):
    """All sessions."""

    sessions: Sequence[Session]


class Messages(msgspec.Struct, frozen=True):
    """All messages of a session."""

    messages: Sequence[Message]


class Done(msgspec.Struct, frozen=True):
    """The data of a stream's last event, `done`: the reply as it was stored."""

    message: Message


class Broken(msgspec.Struct, frozen=True, omit_defaults=True):
    """The data of a stream's last event, `error`, with the reply as it was stored."""

    error: ErrorObject
    message: Message | None = None


# -- the appliance itself ------------------------------------------------------------------------


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is doing."""

    id: str
    name: str
    state: EngineStatus
    progress: float
    """0 … 1, while it loads."""
    detail: str | None
    """Why it is not ready."""
    n_ctx: int | None
    device: str | None
    """`cpu`, or the family of the GPUs that it runs on."""
    on: tuple[str, ...]
    """Names of the GPUs that it runs on."""
    variant: str | None
    """Of llama.cpp's code for processors, once it is loaded."""
    devices: tuple[str, ...]
    """Where it could run on this machine, by names and families; empty while nobody knows, because
    it is not loaded."""
    warning: str | None


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can compute. Bytes."""

    name: str
    """As requests may ask for it."""
    family: str
    """`cpu`, `cuda`, `metal`, `vulkan` …"""
    description: str
    driver: str
    """Empty: unknown."""
    free: int
    """When a model was last loaded."""
    total: int
    trust: Trust
    """`slow`: used by who asks for it, since the processor is faster; `unproven`: not compared with
    the processor yet; `wrong`: it computes something else, and is not used; `failed`: it died or
    could not be tried, and is not used until the next start."""
    detail: str
    """Why it is not used."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows of the appliance. The timestamp is in Unix milliseconds."""

    version: str
    uptime_seconds: float
    timestamp: int
    models: list[ModelStatus]
    devices: list[DeviceStatus]
    figures: Figures
    refused_variants: dict[str, str]
    """Of llama.cpp's code for processors: what does not compute right on this machine and is not
    used, and why."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the appliance is. The timestamp is in Unix milliseconds."""

    status: Literal["ok"] | EngineStatus
    uptime_seconds: float
    timestamp: int
    models: list[ModelStatus]


# -- keys ----------------------------------------------------------------------------------------


class Me(msgspec.Struct, frozen=True):
    """Who is asking."""

    name: str
    scope: Scope | None
    """None: nobody in particular yet, where a key is asked for."""
    auth: bool
    """Whether a key is asked for here."""


class KeysAnswer(msgspec.Struct, frozen=True):
    """All keys, without what nobody can see again."""

    keys: list[Key]


class MadeKey(msgspec.Struct, frozen=True):
    """A key that was just made."""

    id: str
    name: str
    scope: Scope
    rpm: int | None
    created_at: int
    expires_at: int | None
    key: str
    """The secret, which is shown this once."""
