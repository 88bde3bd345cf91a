"""What requests of OpenAI's endpoints may contain: every field of theirs is kept to or refused."""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from appliance.api.wire.bodies import Body, Sampling, Tokens
from appliance.config.schema import Device
from appliance.engine.types import CalledFunction, ChatMessage, ChatPrompt, ToolCall
from appliance.errors import RequestError


class TextPart(Body, frozen=True, tag="text", tag_field="type"):
    """A piece of text of a message."""

    text: str


class CalledFunctionIn(Body, kw_only=True, frozen=True):
    """The function of a call, and the JSON text of its arguments."""

    name: str
    arguments: str


class ToolCallIn(Body, kw_only=True, frozen=True):
    """A call that an assistant's message made."""

    id: str
    function: CalledFunctionIn
    type: Literal["function"] = "function"

    def plain(self) -> ToolCall:
        """As the model's template sees it."""
        return ToolCall(self.id, CalledFunction(self.function.name, self.function.arguments))


class MessageIn(Body, kw_only=True, frozen=True):
    """A chat message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    """What OpenAI's replies carry; it comes back when a reply is sent as history, as do the next
    three."""
    annotations: Annotated[list[None], Meta(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None

    def plain(self, place: str) -> ChatMessage:
        """As the model's template sees it; `place` is for errors.

        Raises:
            RequestError: it lacks what its role needs.
        """
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise RequestError(f"{place}.content is missing", param=f"{place}.content")
        if self.role == "tool" and not self.tool_call_id:
            raise RequestError(f"{place}.tool_call_id is missing", param=f"{place}.tool_call_id")
        content = self.content or ""
        return ChatMessage(
            "system" if self.role == "developer" else self.role,
            content if isinstance(content, str) else "".join(part.text for part in content),
            name=self.name,
            reasoning_content=self.reasoning_content,
            tool_calls=[call.plain() for call in self.tool_calls] if self.tool_calls else None,
            tool_call_id=self.tool_call_id,
        )


class FunctionIn(Body, kw_only=True, frozen=True):
    """A function that the model may call."""

    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_.-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


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
    """Those of the tools that may be called, and whether one has to be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Meta(min_length=1, max_length=128)]


class AllowedToolChoice(Body, kw_only=True, frozen=True, tag="allowed_tools", tag_field="type"):
    """A `tool_choice` that narrows the tools down."""

    allowed_tools: AllowedTools


class StreamOptions(Body, kw_only=True, frozen=True):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = False
    include_obfuscation: bool | None = False

    def check(self) -> None:
        """Raises RequestError: what is asked for is not done here."""
        if self.include_obfuscation:
            param = "stream_options.include_obfuscation"
            raise RequestError(f"{param} can only be false here", param=param)


class PromptCacheOptions(Body, kw_only=True, frozen=True):
    """OpenAI's `prompt_cache_options`. Every prompt is kept for as long as there is room."""

    mode: Literal["implicit"] | None = None


class PlainText(Body, kw_only=True, frozen=True, tag="text", tag_field="type"):
    """`response_format`: as the model likes."""


class JsonObject(Body, kw_only=True, frozen=True, tag="json_object", tag_field="type"):
    """`response_format`: some JSON object."""


class NamedSchema(Body, kw_only=True, frozen=True):
    """A JSON schema with its name; `strict` is always so here."""

    schema: dict[str, Any]
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class JsonSchema(Body, kw_only=True, frozen=True, tag="json_schema", tag_field="type"):
    """`response_format`: JSON of a schema."""

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
    """Whom the caller serves: it stands in the log."""
    device: Device | None = None
    """Where the model should run. A header of the answer warns if it is elsewhere."""
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    logit_bias: Annotated[dict[str, Bias], Meta(max_length=1024)] | None = None
    grammar: Annotated[str, Meta(min_length=1, max_length=65536)] | None = None
    response_format: ResponseFormat | None = None

    @property
    def one_call(self) -> bool:
        """The reply is to end after its first tool call."""
        return False

    def labels(self) -> dict[str, Any]:
        """What stands in the log with this request."""
        return {"user": self.user} if self.user else {}

    def unkept(self) -> list[str]:
        """What is taken but not kept to in full: the answer's header warns of it."""
        schema = self.response_format
        if isinstance(schema, JsonSchema) and schema.json_schema.description:
            return ["response_format.json_schema.description is not shown to the model"]
        return []

    def told(self) -> dict[str, str]:
        """What the answer says again."""
        return {}

    def further(self) -> dict[str, Any]:
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

    messages: Annotated[list[MessageIn], Meta(min_length=1)]
    max_completion_tokens: Tokens | None = None
    tools: Annotated[list[ToolIn], Meta(max_length=128)] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | AllowedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """False: the reply ends after its first call. A forced one is always one."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    safety_identifier: Identifier | None = None
    """Like `user`."""
    prompt_cache_key: Identifier | None = None
    """All prompts share one cache, which needs no key to be found in."""
    service_tier: Literal["auto", "default"] | None = None
    modalities: list[Literal["text"]] | None = None
    metadata: Metadata | None = None
    """It stands in the log, like `user`."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    """For models whose template can be told; the others refuse it."""
    verbosity: Literal["medium"] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    # What OpenAI's service has and this one has not: null is all that they may be.
    audio: None = None
    function_call: None = None
    functions: None = None
    moderation: None = None
    prediction: None = None
    prompt_cache_retention: None = None
    store: bool | None = None
    """Only false: nothing of such a request is kept."""
    web_search_options: None = None

    def further(self) -> dict[str, Any]:
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs goes with logprobs", param="top_logprobs")
        if self.store:
            raise RequestError("store can only be false here", param="store")
        wanted = (self.top_logprobs or 0) if self.logprobs else None
        return {**super().further(), "logprobs": wanted}

    def wanted_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def one_call(self) -> bool:
        return self.parallel_tool_calls is False

    def labels(self) -> dict[str, Any]:
        whom = self.safety_identifier or self.user
        said = {"user": whom, "metadata": self.metadata}
        return {name: value for name, value in said.items() if value}

    def unkept(self) -> list[str]:
        found = super().unkept()
        strict = any(tool.function.strict for tool in self.tools or ())
        if strict and self._choice()[1] == "auto":
            found.append("tools: strict is kept to where tool_choice forces a call")
        return found

    def told(self) -> dict[str, str]:
        return {"service_tier": "default"} if self.service_tier else {}

    def prompt(self) -> ChatPrompt:
        """For the engine.

        Raises:
            RequestError: a message lacks what its role needs, or there is no tool as allowed.
        """
        tools, choice = self._choice()
        return ChatPrompt(
            [message.plain(f"messages[{i}]") for i, message in enumerate(self.messages)],
            understand=True,
            tools=msgspec.to_builtins(tools) or None,
            tool_choice=msgspec.to_builtins(choice),
            effort=self.reasoning_effort,
        )

    def _choice(self) -> tuple[list[ToolIn], str | NamedTool]:
        """The tools that may be called, and which has to be."""
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
    """No more than `n`: there is no choosing among others."""
    echo: bool | None = None
    """Only false."""
    suffix: None = None

    def further(self) -> dict[str, Any]:
        if self.echo:
            raise RequestError("echo can only be false here", param="echo")
        if (self.best_of or 1) > (self.n or 1):
            raise RequestError("best_of can be at most n here", param="best_of")
        return {**super().further(), "logprobs": self.logprobs}


def _bias(given: dict[str, float]) -> tuple[tuple[int, float], ...]:
    """OpenAI writes tokens as texts; -100 is a ban."""
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
    device: Device | None = None
    user: Identifier | None = None
    """Whom the caller serves: it stands in the log."""
