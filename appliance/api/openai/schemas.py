"""OpenAI's requests, whose fields are all supported or refused, and its responses."""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from appliance.api.generation.sampling import Sampling, Tokens
from appliance.api.wire.bodies import Body
from appliance.config.schema import DeviceName
from appliance.engine.types import CalledFunction, ChatMessage, ChatPrompt, ToolCall
from appliance.errors import RequestError

MAX_DEPTH = 100
"""Maximum depth of a tool's schema."""


class TextPart(Body, frozen=True, tag="text", tag_field="type"):
    """A piece of text in a message."""

    text: str


class CalledFunctionIn(Body, kw_only=True, frozen=True):
    """The function of a call, and the JSON text of its arguments."""

    name: str
    arguments: str


class ToolCallIn(Body, kw_only=True, frozen=True):
    """A tool call in an assistant's message."""

    id: str
    function: CalledFunctionIn
    type: Literal["function"] = "function"

    def to_engine(self) -> ToolCall:
        """For the engine."""
        return ToolCall(self.id, CalledFunction(self.function.name, self.function.arguments))


class MessageIn(Body, kw_only=True, frozen=True):
    """A chat message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    """OpenAI's replies have this field and the next three, so they come back in a history."""
    annotations: Annotated[list[None], Meta(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[ToolCallIn], Meta(max_length=128)] | None = None
    tool_call_id: str | None = None

    def to_engine(self, path: str) -> ChatMessage:
        """For the engine; `path` names the message in errors.

        Raises:
            RequestError: it lacks a field that its role needs.
        """
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise RequestError(f"{path}.content is missing", param=f"{path}.content")
        if self.role == "tool" and not self.tool_call_id:
            raise RequestError(f"{path}.tool_call_id is missing", param=f"{path}.tool_call_id")
        content = self.content or ""
        return ChatMessage(
            "system" if self.role == "developer" else self.role,
            content if isinstance(content, str) else "".join(part.text for part in content),
            name=self.name,
            reasoning_content=self.reasoning_content,
            tool_calls=[call.to_engine() for call in self.tool_calls] if self.tool_calls else None,
            tool_call_id=self.tool_call_id,
        )


class FunctionIn(Body, kw_only=True, frozen=True):
    """A function that the model may call."""

    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_.-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def check(self, path: str) -> None:
        """Raises RequestError: its schema is nested too deep."""
        level: list[Any] = [self.parameters]
        for _ in range(MAX_DEPTH):
            level = [
                inner
                for value in level
                if isinstance(value, dict | list)
                for inner in (value.values() if isinstance(value, dict) else value)
            ]
        if level:
            param = f"{path}.parameters"
            raise RequestError(f"{param} is nested more than {MAX_DEPTH} deep", param=param)


class ToolIn(Body, kw_only=True, frozen=True):
    """An entry of `tools`."""

    type: Literal["function"]
    function: FunctionIn


class FunctionName(Body, kw_only=True, frozen=True):
    """Names a function."""

    name: str


class NamedTool(Body, kw_only=True, frozen=True, tag="function", tag_field="type"):
    """A `tool_choice` that names the function."""

    function: FunctionName


class AllowedTools(Body, kw_only=True, frozen=True):
    """The tools that may be called, and whether one must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Meta(min_length=1, max_length=128)]


class AllowedToolChoice(Body, kw_only=True, frozen=True, tag="allowed_tools", tag_field="type"):
    """A `tool_choice` that restricts the tools."""

    allowed_tools: AllowedTools


class StreamOptions(Body, kw_only=True, frozen=True):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = False
    include_obfuscation: bool | None = False

    def check(self) -> None:
        """Raises RequestError: an option is not supported."""
        if self.include_obfuscation:
            param = "stream_options.include_obfuscation"
            raise RequestError(f"{param} can only be false here", param=param)


class PromptCacheOptions(Body, kw_only=True, frozen=True):
    """OpenAI's `prompt_cache_options`. Every prompt is cached for as long as there is room."""

    mode: Literal["implicit"] | None = None


class PlainText(Body, kw_only=True, frozen=True, tag="text", tag_field="type"):
    """`response_format`: any text."""


class JsonObject(Body, kw_only=True, frozen=True, tag="json_object", tag_field="type"):
    """`response_format`: any JSON object."""


class NamedSchema(Body, kw_only=True, frozen=True):
    """A JSON schema with its name; it is always enforced, as if `strict`."""

    schema: dict[str, Any]
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class JsonSchema(Body, kw_only=True, frozen=True, tag="json_schema", tag_field="type"):
    """`response_format`: JSON that matches a schema."""

    json_schema: NamedSchema


Identifier = Annotated[str, Meta(max_length=512)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]
ResponseFormat = PlainText | JsonObject | JsonSchema
Bias = Annotated[float, Meta(ge=-100, le=100)]


class OpenAIRequest(Sampling, kw_only=True, frozen=True):
    """What chat and text completions have in common."""

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: Identifier | None = None
    """The caller's end user, for the log."""
    device: DeviceName | None = None
    """Where the model should run. A response header warns if it runs elsewhere."""
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    logit_bias: Annotated[dict[str, Bias], Meta(max_length=1024)] | None = None
    grammar: Annotated[str, Meta(min_length=1, max_length=65536)] | None = None
    response_format: ResponseFormat | None = None

    @property
    def include_usage(self) -> bool:
        """A stream ends with a chunk that has the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def single_tool_call(self) -> bool:
        """The reply is to end after its first tool call."""
        return False

    def log_fields(self) -> dict[str, Any]:
        """Fields for the log lines of this request."""
        return {"user": self.user} if self.user else {}

    def ignored_fields(self) -> list[str]:
        """What is accepted but not fully honored; a response header warns about it."""
        schema = self.response_format
        if isinstance(schema, JsonSchema) and schema.json_schema.description:
            return ["response_format.json_schema.description is not shown to the model"]
        return []

    def extra_params(self) -> dict[str, Any]:
        if self.grammar and isinstance(self.response_format, JsonObject | JsonSchema):
            raise RequestError("grammar and response_format exclude each other", param="grammar")
        found: dict[str, Any] = {"logit_bias": _bias(self.logit_bias or {})}
        if self.grammar:
            found["grammar"] = self.grammar
        if isinstance(self.response_format, JsonObject):
            found["json_schema"] = '{"type": "object"}'
        elif isinstance(self.response_format, JsonSchema):
            schema = self.response_format.json_schema.schema
            found["json_schema"] = msgspec.json.encode(schema).decode()
        return found


class ChatCompletionRequest(OpenAIRequest, kw_only=True, frozen=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[MessageIn], Meta(min_length=1, max_length=4096)]
    max_completion_tokens: Tokens | None = None
    tools: Annotated[list[ToolIn], Meta(max_length=128)] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | AllowedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """False: the reply ends after its first call. A forced call is always the only one."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    safety_identifier: Identifier | None = None
    """Like `user`."""
    prompt_cache_key: Identifier | None = None
    """Accepted, but all prompts share one cache, which needs no key."""
    service_tier: Literal["auto", "default"] | None = None
    modalities: list[Literal["text"]] | None = None
    metadata: Metadata | None = None
    """For the log, like `user`."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    """For models whose chat template supports it; others refuse it."""
    verbosity: Literal["medium"] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    # OpenAI has these and the appliance does not: they may only be null.
    audio: None = None
    function_call: None = None
    functions: None = None
    moderation: None = None
    prediction: None = None
    prompt_cache_retention: None = None
    store: bool | None = None
    """Only false: requests are not stored."""
    web_search_options: None = None

    def extra_params(self) -> dict[str, Any]:
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs goes with logprobs", param="top_logprobs")
        if self.store:
            raise RequestError("store can only be false here", param="store")
        wanted = (self.top_logprobs or 0) if self.logprobs else None
        return {**super().extra_params(), "logprobs": wanted}

    def requested_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def single_tool_call(self) -> bool:
        return self.parallel_tool_calls is False

    def log_fields(self) -> dict[str, Any]:
        fields = {"user": self.safety_identifier or self.user, "metadata": self.metadata}
        return {name: value for name, value in fields.items() if value}

    def ignored_fields(self) -> list[str]:
        found = super().ignored_fields()
        strict = any(tool.function.strict for tool in self.tools or ())
        if strict and self._choice()[1] == "auto":
            found.append("tools: strict is only enforced where tool_choice forces a call")
        return found

    def prompt(self) -> ChatPrompt:
        """For the engine.

        Raises:
            RequestError: a message lacks a field that its role needs, or an allowed tool is
                unknown.
        """
        tools, choice = self._choice()
        for i, tool in enumerate(self.tools or []):
            tool.function.check(f"tools[{i}].function")
        return ChatPrompt(
            [message.to_engine(f"messages[{i}]") for i, message in enumerate(self.messages)],
            parse_output=True,
            tools=msgspec.to_builtins(tools) or None,
            tool_choice=msgspec.to_builtins(choice),
            effort=self.reasoning_effort,
        )

    def _choice(self) -> tuple[list[ToolIn], str | NamedTool]:
        """The tools that may be called, and which must be."""
        tools, choice = self.tools or [], self.tool_choice or "auto"
        if not isinstance(choice, AllowedToolChoice):
            return tools, choice
        names = {tool.function.name for tool in choice.allowed_tools.tools}
        if unknown := sorted(names - {tool.function.name for tool in tools}):
            raise RequestError(
                f"tool_choice allows {unknown[0]!r}, which is not a tool", param="tool_choice"
            )
        allowed = [tool for tool in tools if tool.function.name in names]
        return allowed, choice.allowed_tools.mode


Text = Annotated[str, Meta(min_length=1)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TokenIds = Annotated[list[TokenId], Meta(min_length=1)]


class CompletionRequest(OpenAIRequest, kw_only=True, frozen=True):
    """`POST /v1/completions`."""

    prompt: Text | Annotated[list[TokenId | Text | TokenIds], Meta(min_length=1)]
    """A text, tokens, or up to 64 of either."""
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None
    """At most `n`: no further choices are generated to pick from."""
    echo: bool | None = None
    """Only false."""
    suffix: None = None

    def extra_params(self) -> dict[str, Any]:
        if self.echo:
            raise RequestError("echo can only be false here", param="echo")
        if (self.best_of or 1) > (self.n or 1):
            raise RequestError("best_of can be at most n here", param="best_of")
        return {**super().extra_params(), "logprobs": self.logprobs}


def _bias(given: dict[str, float]) -> tuple[tuple[int, float], ...]:
    """OpenAI writes tokens as texts; -100 bans one."""
    try:
        return tuple(
            (int(token), -math.inf if bias <= -100 else bias) for token, bias in given.items()
        )
    except ValueError as ex:
        raise RequestError("logit_bias: its keys must be tokens", param="logit_bias") from ex


class EmbeddingRequest(Body, kw_only=True, frozen=True):
    """`POST /v1/embeddings`."""

    input: Text | Annotated[list[TokenId | Text | TokenIds], Meta(min_length=1)]
    """A text, tokens, or up to 2048 of either."""
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Tokens | None = None
    device: DeviceName | None = None
    user: Identifier | None = None
    """The caller's end user, for the log."""
