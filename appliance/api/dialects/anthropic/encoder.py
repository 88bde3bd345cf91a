"""Encodes replies as Anthropic's messages."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from appliance.api.dialects.anthropic.errors import anthropic_error_event
from appliance.api.dialects.anthropic.schemas import (
    AnswerBlock,
    AnthropicStop,
    AnthropicUsage,
    BlockDelta,
    BlockStart,
    BlockStop,
    InputPiece,
    MessageAnswer,
    MessageEnd,
    MessagePing,
    MessageStart,
    MessageStop,
    SignaturePiece,
    StopDelta,
    TextBlock,
    TextPiece,
    ThinkingBlock,
    ThinkingPiece,
    ToolUseBlock,
)
from appliance.api.generation.encoder import ReplyCollector
from appliance.api.wire import streams
from appliance.engine.protocol import Accepted, CallDelta, Delta, Finished, SequenceEvent
from appliance.errors import ApplianceError

_REASONS: dict[str, AnthropicStop] = {
    "stop": "end_turn",
    "cancelled": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}


class MessageEncoder:
    """One message, in blocks that follow each other."""

    media_type = streams.MEDIA_TYPE
    keep_alive: bytes | None = streams.KEEP_ALIVE

    def __init__(self, model: str) -> None:
        """`model`: the name that was asked for."""
        self._id = f"msg_{secrets.token_hex(12)}"
        self._model = model
        self._index = -1
        self._open: AnswerBlock | None = None
        self._n_ctx: int | None = None

    def start(self) -> bytes:
        """Nothing: the message begins with the length of its prompt."""
        return b""

    def event(self, index: int, event: SequenceEvent) -> bytes:
        """What is new, in as many events as it takes."""
        match event:
            case Accepted():
                self._n_ctx = event.n_ctx
                usage = AnthropicUsage(input_tokens=event.prompt_tokens, output_tokens=0)
                message = self._message([], None, usage)
                return _sent(MessageStart(message=message)) + _sent(MessagePing())
            case Delta():
                return self._delta(event)
            case Finished():
                stop = StopDelta(
                    stop_reason=_reason(event, self._n_ctx), stop_sequence=event.stop_text
                )
                return self._close() + _sent(MessageEnd(delta=stop, usage=_usage(event)))
            case _:
                return b""

    def _delta(self, delta: Delta) -> bytes:
        out = b""
        if delta.reasoning:
            if not isinstance(self._open, ThinkingBlock):
                out += self._begin(ThinkingBlock(thinking=""))
            out += self._piece(ThinkingPiece(thinking=delta.reasoning))
        if delta.text:
            if not isinstance(self._open, TextBlock):
                out += self._begin(TextBlock(text=""))
            out += self._piece(TextPiece(text=delta.text))
        for call in delta.calls:
            if call.id is not None:
                out += self._begin(ToolUseBlock(id=call.id, name=call.name or "", input={}))
            if call.arguments:
                out += self._piece(InputPiece(partial_json=call.arguments))
        return out

    def _begin(self, block: AnswerBlock) -> bytes:
        closed = self._close()
        self._index += 1
        self._open = block
        return closed + _sent(BlockStart(index=self._index, content_block=block))

    def _piece(self, piece: TextPiece | ThinkingPiece | SignaturePiece | InputPiece) -> bytes:
        return _sent(BlockDelta(index=self._index, delta=piece))

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        out = self._piece(SignaturePiece()) if isinstance(self._open, ThinkingBlock) else b""
        self._open = None
        return out + _sent(BlockStop(index=self._index))

    def finish(self) -> bytes:
        """The last event."""
        return _sent(MessageStop())

    def error(self, error: ApplianceError) -> bytes:
        """The last event of a stream that fails."""
        return streams.event(anthropic_error_event(error), "error")

    def whole(self, replies: Sequence[ReplyCollector]) -> MessageAnswer:
        """The answer that is not streamed."""
        (reply,) = replies
        assert reply.finished
        self._n_ctx = reply.n_ctx
        content: list[AnswerBlock] = []
        if reply.reasoning:
            content.append(ThinkingBlock(thinking=reply.reasoning))
        if reply.text:
            content.append(TextBlock(text=reply.text))
        content += [
            ToolUseBlock(id=call.id or "", name=call.name or "", input=_arguments(call))
            for call in reply.calls
        ]
        return self._message(content, reply.finished, _usage(reply.finished))

    def _message(
        self, content: list[AnswerBlock], finished: Finished | None, usage: AnthropicUsage
    ) -> MessageAnswer:
        return MessageAnswer(
            id=self._id,
            model=self._model,
            content=content,
            stop_reason=_reason(finished, self._n_ctx) if finished else None,
            stop_sequence=finished.stop_text if finished else None,
            usage=usage,
        )


def _sent(event: msgspec.Struct) -> bytes:
    name = event.__struct_config__.tag
    assert isinstance(name, str)
    return streams.event(event, name)


def _reason(event: Finished, n_ctx: int | None) -> AnthropicStop:
    if event.stop_text is not None:
        return "stop_sequence"
    full = n_ctx is not None and event.prompt_tokens + event.completion_tokens >= n_ctx
    if event.reason == "length" and full:
        return "model_context_window_exceeded"
    return _REASONS[event.reason]


def _usage(event: Finished) -> AnthropicUsage:
    return AnthropicUsage(
        input_tokens=event.prompt_tokens - event.cached_tokens,
        cache_read_input_tokens=event.cached_tokens,
        output_tokens=event.completion_tokens,
    )


def _arguments(call: CallDelta) -> dict[str, Any]:
    """An object; empty where the reply was cut before the arguments were whole."""
    try:
        return msgspec.json.decode(call.arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
