"""Anthropic's requests and responses. Fields that aren't here are ignored, as its server does."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from appliance.api.generation.conversation import (
    BETWEEN,
    Conversation,
    function_tool,
    named_choice,
    tool_call,
)
from appliance.api.generation.sampling import Share, Temperature, Tokens, TopK, with_defaults
from appliance.api.wire.lenient import Lenient
from appliance.engine.types import ChatPrompt, SamplingParams
from appliance.errors import RequestError

_BILLING = re.compile(r"x-anthropic-billing-header:[^\n]*\n*")
"""Claude Code's first line, which differs from one run to the next: with it, no prompt would begin
as the one before."""

ToolName = Annotated[str, Meta(min_length=1, max_length=128)]
Budget = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Effort = Literal["low", "medium", "high", "xhigh", "max"]


class ContentBlock(Lenient, kw_only=True, frozen=True):
    """A block of any type; those that aren't known are left out."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: "str | list[ContentBlock] | dict[str, Any] | None" = None
    is_error: bool | None = None
    source: dict[str, Any] | None = None


Content = str | list[ContentBlock]


class AnthropicMessage(Lenient, kw_only=True, frozen=True):
    """A message; `system` may also stand in the middle."""

    role: Literal["user", "assistant", "system"]
    content: Content


class AnthropicTool(Lenient, kw_only=True, frozen=True):
    """A function; without `input_schema` it is a tool of Anthropic's own servers."""

    name: ToolName
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    type: str | None = None


class AnthropicToolChoice(Lenient, kw_only=True, frozen=True):
    """Whether a tool is called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingSettings(Lenient, kw_only=True, frozen=True):
    """Whether the model thinks first; one that can't ignores it."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: Budget | None = None


class JsonOutput(Lenient, kw_only=True, frozen=True):
    """JSON that matches a schema."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Lenient, kw_only=True, frozen=True):
    """How the reply is to be."""

    effort: Effort | None = None
    format: JsonOutput | None = None


class TokenCountRequest(Lenient, kw_only=True, frozen=True):
    """`POST /v1/messages/count_tokens`."""

    model: str
    messages: Annotated[list[AnthropicMessage], Meta(min_length=1)]
    system: Content | None = None
    tools: Annotated[list[AnthropicTool], Meta(max_length=512)] | None = None
    tool_choice: AnthropicToolChoice | None = None
    thinking: ThinkingSettings | None = None
    output_config: OutputConfig | None = None
    output_format: JsonOutput | None = None
    """The old place of `output_config.format`."""

    def conversation(self) -> Conversation:
        """The messages, in order.

        Raises:
            RequestError: there is something that the model can't be shown.
        """
        found = Conversation()
        if self.system is not None:
            path = "system"
            blocks = _blocks(self.system)
            texts = [_text(block, f"{path}[{i}]") for i, block in enumerate(blocks)]
            for text in texts:
                found.system(_BILLING.sub("", text, 1) if _BILLING.match(text) else text)
        for i, message in enumerate(self.messages):
            path = f"messages[{i}].content"
            if message.role == "assistant":
                _add_assistant(found, _blocks(message.content), path)
            elif message.role == "system":
                found.system(_joined(message.content, path))
            else:
                _add_user(found, _blocks(message.content), path)
        return found

    def prompt(self, conversation: Conversation) -> ChatPrompt:
        """For the engine."""
        tools = [
            function_tool(tool.name, tool.description, tool.input_schema)
            for tool in self.tools or []
            if tool.input_schema is not None
        ]
        choice = self.tool_choice
        chosen: Any = "auto"
        if choice and tools:
            chosen = {"auto": "auto", "any": "required", "none": "none"}.get(choice.type)
            if choice.type == "tool":
                if not choice.name:
                    raise RequestError("tool_choice.name is missing", param="tool_choice.name")
                chosen = named_choice(choice.name)
        elif choice and choice.type in ("any", "tool"):
            raise RequestError("tool_choice needs tools", param="tool_choice")
        return ChatPrompt(
            conversation.messages(),
            parse_output=True,
            tools=tools or None,
            tool_choice=chosen,
            effort=self._effort(),
            effort_is_wish=True,
            continue_final=conversation.ends_with_beginning,
        )

    def not_offered(self) -> str | None:
        """A sentence about tools of Anthropic's servers, which aren't here."""
        names = [tool.type or tool.name for tool in self.tools or [] if tool.input_schema is None]
        shown = [name for name in names if name.isprintable()]
        return f"tools left out: {', '.join(shown)}" if names else None

    def _effort(self) -> str | None:
        asked = self.output_config.effort if self.output_config else None
        if self.thinking is None or self.thinking.type == "adaptive":
            return asked
        return "none" if self.thinking.type == "disabled" else asked or "medium"

    def sampling(self, most_tokens: int, defaults: Mapping[str, Any]) -> SamplingParams:
        """For a request that generates nothing."""
        return with_defaults({"json_schema": self._schema()}, None, most_tokens, defaults)

    def _schema(self) -> str | None:
        format = self.output_format or (self.output_config and self.output_config.format)
        return msgspec.json.encode(format.schema).decode() if format else None

    @property
    def single_tool_call(self) -> bool:
        """The reply is to end after its first tool call."""
        return bool(self.tool_choice and self.tool_choice.disable_parallel_tool_use)


class RequestMetadata(Lenient, kw_only=True, frozen=True):
    """For the log."""

    user_id: str | None = None


class MessagesRequest(TokenCountRequest, kw_only=True, frozen=True):
    """`POST /v1/messages`."""

    max_tokens: Tokens
    """More than `limits.max_response_tokens`, or than the context has room for, is as much as
    that; a response header says so."""
    stop_sequences: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=64)] | (
        None
    ) = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    metadata: RequestMetadata | None = None

    def sampling(self, most_tokens: int, defaults: Mapping[str, Any]) -> SamplingParams:
        """For the engine; see `sampling.with_defaults`."""
        names = ("temperature", "top_p", "top_k")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.stop_sequences is not None:
            given["stop"] = tuple(filter(None, self.stop_sequences))
        given["json_schema"] = self._schema()
        return with_defaults(given, self.max_tokens, most_tokens, defaults)


def _blocks(content: Content) -> list[ContentBlock]:
    return [ContentBlock(type="text", text=content)] if isinstance(content, str) else content


def _joined(content: Content, path: str) -> str:
    texts = [_text(block, f"{path}[{i}]") for i, block in enumerate(_blocks(content))]
    return BETWEEN.join(filter(None, texts))


def _text(block: ContentBlock, path: str) -> str:
    """The text of a block; empty: it has none.

    Raises:
        RequestError: it is something that can't be read here.
    """
    if block.type == "image":
        raise RequestError(f"{path}: this model cannot see images", param=path)
    if block.type == "document":
        source = block.source or {}
        if source.get("type") != "text" or not isinstance(source.get("data"), str):
            raise RequestError(f"{path}: only documents of plain text can be read", param=path)
        return str(source["data"])
    return block.text or "" if block.type == "text" else ""


def _add_user(found: Conversation, blocks: list[ContentBlock], path: str) -> None:
    """Results of calls come first, then what the person says."""
    texts = []
    for i, block in enumerate(blocks):
        place = f"{path}[{i}]"
        if block.type == "tool_result":
            if not block.tool_use_id:
                raise RequestError(f"{place}.tool_use_id is missing", param=f"{place}.tool_use_id")
            content = "" if isinstance(block.content, dict) else block.content or ""
            found.tool(block.tool_use_id, _joined(content, f"{place}.content"))
        elif text := _text(block, place):
            texts.append(text)
    if texts or not blocks:
        found.user(BETWEEN.join(texts))


def _add_assistant(found: Conversation, blocks: list[ContentBlock], path: str) -> None:
    texts, thoughts, calls = [], [], []
    for i, block in enumerate(blocks):
        place = f"{path}[{i}]"
        if block.type == "thinking":
            thoughts.append(block.thinking or "")
        elif block.type == "tool_use":
            if not block.id or not block.name:
                raise RequestError(f"{place} needs id and name", param=place)
            calls.append(tool_call(block.id, block.name, block.input or {}))
        else:
            texts.append(_text(block, place))
    found.assistant(
        BETWEEN.join(filter(None, texts)), reasoning=BETWEEN.join(thoughts), calls=calls
    )


# -- answers -------------------------------------------------------------------------------------


class TextBlock(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Text of the reply."""

    text: str


class ThinkingBlock(msgspec.Struct, frozen=True, kw_only=True, tag="thinking"):
    """What the model thought first; nobody signs it."""

    thinking: str
    signature: str = ""


class ToolUseBlock(msgspec.Struct, frozen=True, kw_only=True, tag="tool_use"):
    """A call."""

    id: str
    name: str
    input: dict[str, Any]


AnswerBlock = TextBlock | ThinkingBlock | ToolUseBlock
AnthropicStop = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"
]


class AnthropicUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens. Those of the prompt are the sum of the first three."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int


class MessageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /v1/messages`, not streamed."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[AnswerBlock]
    stop_reason: AnthropicStop | None
    stop_sequence: str | None
    usage: AnthropicUsage


class MessageStart(msgspec.Struct, frozen=True, kw_only=True, tag="message_start"):
    """The prompt was accepted."""

    message: MessageAnswer


class MessagePing(msgspec.Struct, frozen=True, kw_only=True, tag="ping"):
    """The prompt is being read."""


class BlockStart(msgspec.Struct, frozen=True, kw_only=True, tag="content_block_start"):
    """A block begins; they come one after the other."""

    index: int
    content_block: AnswerBlock


class TextPiece(msgspec.Struct, frozen=True, kw_only=True, tag="text_delta"):
    """More of a text."""

    text: str


class ThinkingPiece(msgspec.Struct, frozen=True, kw_only=True, tag="thinking_delta"):
    """More of a thought."""

    thinking: str


class SignaturePiece(msgspec.Struct, frozen=True, kw_only=True, tag="signature_delta"):
    """The end of a thought."""

    signature: str = ""


class InputPiece(msgspec.Struct, frozen=True, kw_only=True, tag="input_json_delta"):
    """More of a call's arguments, as JSON."""

    partial_json: str


class BlockDelta(msgspec.Struct, frozen=True, kw_only=True, tag="content_block_delta"):
    """More of the block."""

    index: int
    delta: TextPiece | ThinkingPiece | SignaturePiece | InputPiece


class BlockStop(msgspec.Struct, frozen=True, kw_only=True, tag="content_block_stop"):
    """The block has ended."""

    index: int


class StopDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Why the message ended."""

    stop_reason: AnthropicStop
    stop_sequence: str | None


class MessageEnd(msgspec.Struct, frozen=True, kw_only=True, tag="message_delta"):
    """Why the message ended, and all its tokens."""

    delta: StopDelta
    usage: AnthropicUsage


class MessageStop(msgspec.Struct, frozen=True, kw_only=True, tag="message_stop"):
    """Nothing follows."""


class AnthropicErrorObject(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    type: str
    message: str


class AnthropicError(msgspec.Struct, frozen=True, kw_only=True):
    """An error, also in a stream."""

    type: Literal["error"] = "error"
    error: AnthropicErrorObject
    request_id: str | UnsetType = UNSET


class TokenCount(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /v1/messages/count_tokens`."""

    input_tokens: int


class AnthropicModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model."""

    type: Literal["model"] = "model"
    id: str
    display_name: str
    created_at: str
    """RFC 3339."""
    max_input_tokens: int
    max_tokens: int


class AnthropicModels(msgspec.Struct, frozen=True, kw_only=True):
    """All models, the default first."""

    data: list[AnthropicModel]
    has_more: bool = False
    first_id: str | None
    last_id: str | None
