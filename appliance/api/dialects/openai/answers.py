"""OpenAI's responses."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from appliance.api.generation.encoder import StopReason
from appliance.engine.protocol import CachedFrom


class PromptTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The prompt's tokens that were cached, and where."""

    cached_tokens: int
    cached_from: CachedFrom | None


class CompletionUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of all choices together; a prompt with several choices counts once."""

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
    """The response to `POST /v1/embeddings`, in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage


class AnswerFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function and the JSON text of its arguments."""

    name: str
    arguments: str


class AnswerToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call by the model."""

    id: str
    type: Literal["function"]
    function: AnswerFunction


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model's message."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str = ""
    reasoning: str = ""
    """The same, by the name that others have for it."""
    tool_calls: list[AnswerToolCall] = []


class ChatToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, its text as UTF-8, and the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class SampledChatToken(ChatToken, frozen=True, kw_only=True):
    """The sampled token, and the likeliest alternatives."""

    top_logprobs: list[ChatToken]


class ChatLogprobs(msgspec.Struct, frozen=True, kw_only=True):
    """For every token of the message."""

    content: list[SampledChatToken]
    refusal: None


class ChatChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the requested messages."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: StopReason


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /v1/chat/completions`, not streamed."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str | None
    service_tier: Literal["default"] | UnsetType = UNSET
    choices: list[ChatChoice]
    usage: CompletionUsage


class FunctionDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The next part of a function call; the name comes first."""

    arguments: str
    name: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The next part of a tool call; id and type come first."""

    index: int
    function: FunctionDelta
    id: str | None = None
    type: Literal["function"] | None = None


class MessageDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The next part of a message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChatChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The next part of one of the messages."""

    index: int
    delta: MessageDelta
    logprobs: ChatLogprobs | None
    finish_reason: StopReason | None


class ChatCompletionChunk(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /v1/chat/completions`, streamed: each event before `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str | None
    service_tier: Literal["default"] | UnsetType = UNSET
    choices: list[ChatChunkChoice]
    usage: CompletionUsage | None


class TextLogprobs(msgspec.Struct, frozen=True, kw_only=True):
    """For every token of the text; `text_offset` is in characters. A token that is a part of a
    character is written as `bytes:` and its bytes."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    """The likeliest ones, and the sampled one among them or beside them."""
    text_offset: list[int]


class TextChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the requested texts, or the next part of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: StopReason | None


class TextCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /v1/completions`; streamed, the data of each event before `[DONE]`."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[TextChoice]
    usage: CompletionUsage | None


class ModelArchitecture(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into a model and comes out."""

    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)


class ModelMeta(msgspec.Struct, frozen=True, kw_only=True):
    """llama-server's figures; 0: unknown."""

    n_ctx: int
    n_ctx_train: int
    n_params: int
    size: int
    """Bytes."""


class AgentFitness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether coding agents can work with a model, as far as is known."""

    fit: bool
    detail: str
    """Why not."""


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """A model, with the fields of OpenAI and of the original service."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "appliance"
    name: str
    context_length: int
    """Tokens that a chat may span; until it is loaded, what it was trained with; 0: unknown. The
    next three are the same, by the names that other services have for it."""
    max_model_len: int
    max_context_length: int
    context_window: int
    type: Literal["llm", "embeddings"]
    capabilities: list[str]
    """Of `completion`, `tools`, `thinking`, `embedding`."""
    architecture: ModelArchitecture
    supported_parameters: list[str]
    """As OpenRouter names them."""
    meta: ModelMeta
    aliases: list[str]
    """Other names for it, by the configuration."""
    agents: AgentFitness
    quantization: str
    """Empty: unknown. So is the device until the model is loaded."""
    device: str
    loaded: bool
    downloaded: bool
    """False: its file is missing, and `detail` says how to get it."""
    detail: str | None


class ModelObjects(msgspec.Struct, frozen=True, kw_only=True):
    """All models, and their names."""

    object: Literal["list"] = "list"
    data: list[ModelObject]
    models: list[str] | UnsetType = UNSET
    """At `/models` alone, as the original service has it."""
