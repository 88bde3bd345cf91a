"""What requests may contain. An unknown field is refused by name, a wrong type with its place."""

import math
import re
from typing import Annotated, Any, Literal, TypeVar

import falcon
import msgspec
from msgspec import Meta

from appliance.engine.protocol import (
    CalledFunction,
    ChatMessage,
    ChatPrompt,
    SamplingParams,
    ToolCall,
)
from appliance.errors import RequestError

T = TypeVar("T")

Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
StopTexts = StopText | Annotated[list[StopText], Meta(max_length=16)]


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A JSON object."""


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

    def params(self, max_response_tokens: int) -> SamplingParams:
        """For the engine; at most `max_response_tokens`."""
        given = {name: value for name in _PLAIN if (value := getattr(self, name)) is not None}
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
    *("temperature", "top_p", "top_k", "min_p", "seed"),
    *("repeat_penalty", "frequency_penalty", "presence_penalty"),
)
"""Fields that mean what `SamplingParams` means by the same name."""


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
    """What OpenAI's replies carry; it comes back when a reply is sent as history."""
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


class NamedTool(Body, kw_only=True, frozen=True):
    """A `tool_choice` that names the function."""

    type: Literal["function"]
    function: FunctionName


class StreamOptions(Body, kw_only=True, frozen=True):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


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


ResponseFormat = PlainText | JsonObject | JsonSchema
Bias = Annotated[float, Meta(ge=-100, le=100)]


class OpenAIRequest(Sampling, kw_only=True, frozen=True):
    """What chat and text completions have in common."""

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: str | None = None
    """Whom the caller serves; nothing here depends on it."""
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    logit_bias: Annotated[dict[str, Bias], Meta(max_length=1024)] | None = None
    ignore_eos: bool | None = None
    grammar: Annotated[str, Meta(min_length=1, max_length=65536)] | None = None
    response_format: ResponseFormat | None = None

    def further(self) -> dict[str, Any]:
        if self.grammar and isinstance(self.response_format, JsonObject | JsonSchema):
            raise RequestError("grammar and response_format exclude each other", param="grammar")
        found: dict[str, Any] = {"logit_bias": _bias(self.logit_bias or {})}
        if self.ignore_eos:
            found["ignore_eos"] = True
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
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    """The model makes as many calls as it likes; a forced one is always one."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None

    def further(self) -> dict[str, Any]:
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs goes with logprobs", param="top_logprobs")
        wanted = (self.top_logprobs or 0) if self.logprobs else None
        return {**super().further(), "logprobs": wanted}

    def wanted_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def prompt(self) -> ChatPrompt:
        """For the engine.

        Raises:
            RequestError: a message lacks what its role needs.
        """
        return ChatPrompt(
            [message.plain(f"messages[{i}]") for i, message in enumerate(self.messages)],
            understand=True,
            tools=msgspec.to_builtins(self.tools) if self.tools else None,
            tool_choice=msgspec.to_builtins(self.tool_choice) if self.tool_choice else "auto",
        )


Text = Annotated[str, Meta(min_length=1)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TokenIds = Annotated[list[TokenId], Meta(min_length=1)]


class CompletionRequest(OpenAIRequest, kw_only=True, frozen=True):
    """`POST /v1/completions`."""

    prompt: Text | Annotated[list[TokenId | Text | TokenIds], Meta(min_length=1)]
    """A text, tokens, or up to 64 of either."""
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None

    def further(self) -> dict[str, Any]:
        return {**super().further(), "logprobs": self.logprobs}


def _bias(given: dict[str, float]) -> tuple[tuple[int, float], ...]:
    """OpenAI writes tokens as texts; -100 is a ban."""
    try:
        return tuple(
            (int(token), -math.inf if bias <= -100 else bias) for token, bias in given.items()
        )
    except ValueError as ex:
        raise RequestError("logit_bias: its keys must be tokens", param="logit_bias") from ex


_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"contains unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")


def decode(req: falcon.Request, kind: type[T], *, empty: T | None = None) -> T:
    """The request's body as `kind`; `empty` stands for a body that is not there.

    Raises:
        RequestError: it is no JSON or not of that kind; `param` names the field.
        falcon.HTTPUnsupportedMediaType: it does not say that it is JSON.
    """
    body = req.bounded_stream.read()
    if not body and empty is not None:
        return empty
    check_json(req)
    found: T = decode_json(body, kind)
    return found


def check_json(req: falcon.Request) -> None:
    """Raises falcon.HTTPUnsupportedMediaType where the body does not say that it is JSON."""
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_JSON:
        # Also what keeps out other pages' forms: a browser sends this type only after asking.
        raise falcon.HTTPUnsupportedMediaType(
            description="the body must be JSON, with Content-Type: application/json"
        )


def decode_json(body: bytes | str, kind: Any) -> Any:
    """JSON as `kind`, a type or a union of tagged ones.

    Raises:
        RequestError: it is no JSON or not of that kind; `param` names the field.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as ex:
        raise _explained(str(ex)) from ex
    except (msgspec.DecodeError, UnicodeError, RecursionError) as ex:
        raise RequestError(f"the body is not JSON: {ex}") from ex


def decode_query(req: falcon.Request, kind: type[T]) -> T:
    """The query's parameters as `kind`.

    Raises:
        RequestError: one is unknown or wrong; `param` names it.
    """
    try:
        return msgspec.convert(req.params, kind, strict=False)
    except msgspec.ValidationError as ex:
        raise _explained(str(ex)) from ex


def _explained(text: str) -> RequestError:
    place = _PLACE.search(text)
    path = place["path"] if place else ""
    message = _PLACE.sub("", text)
    if unknown := _UNKNOWN.search(message):
        path = ".".join(filter(None, (path, unknown["field"])))
        return RequestError(f"{path} is not a field of this request", param=path)
    if missing := _MISSING.search(message):
        path = ".".join(filter(None, (path, missing["field"])))
        return RequestError(f"{path} is missing", param=path)
    return RequestError(f"{path}: {message}" if path else message, param=path or None)
