"""How OpenAI's two completion endpoints write their objects."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from appliance.engine.protocol import CallDelta, Delta, Logprobs, TokenLogprob


@dataclass(slots=True)
class Reply:
    """A reply put together from its deltas."""

    text: str = ""
    reasoning: str = ""
    calls: list[CallDelta] = field(default_factory=list)
    logprobs: list[Logprobs] | None = None
    reason: str = ""

    def add(self, delta: Delta) -> None:
        """The next delta."""
        self.text += delta.text
        self.reasoning += delta.reasoning
        if delta.logprobs is not None:
            self.logprobs = [*(self.logprobs or ()), *delta.logprobs]
        for call in delta.calls:
            if call.id is not None:
                self.calls.append(call)
            else:
                before = self.calls[-1]
                self.calls[-1] = CallDelta(
                    before.index, before.id, before.name, before.arguments + call.arguments
                )


class Shape(Protocol):
    """One endpoint's way of writing."""

    whole_name: str
    """`object` of a reply that is not streamed."""
    chunk_name: str
    id_prefix: str

    def delta(self, index: int, delta: Delta, *, first: bool) -> dict[str, Any]:
        """A choice of a chunk with something new."""

    def last(self, index: int, reason: str) -> dict[str, Any]:
        """A choice of a chunk that ends it."""

    def whole(self, index: int, reply: Reply) -> dict[str, Any]:
        """A choice of a reply that is not streamed."""


class ChatShape:
    """`chat.completion`."""

    whole_name = "chat.completion"
    chunk_name = "chat.completion.chunk"
    id_prefix = "chatcmpl-"

    def delta(self, index: int, delta: Delta, *, first: bool) -> dict[str, Any]:
        what: dict[str, Any] = {"role": "assistant"} if first else {}
        if delta.reasoning:
            what["reasoning_content"] = delta.reasoning
        if delta.calls:
            what["tool_calls"] = [_call_delta(call) for call in delta.calls]
        if delta.text or not what.keys() - {"role"}:
            what["content"] = delta.text
        return self._choice(index, delta.logprobs, None, delta=what)

    def last(self, index: int, reason: str) -> dict[str, Any]:
        return self._choice(index, None, reason, delta={})

    def whole(self, index: int, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if reply.calls and not reply.text else reply.text,
            "refusal": None,
        }
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        if reply.calls:
            message["tool_calls"] = [_call(call) for call in reply.calls]
        return self._choice(index, reply.logprobs, reply.reason, message=message)

    def _choice(
        self,
        index: int,
        logprobs: Sequence[Logprobs] | None,
        reason: str | None,
        **what: dict[str, Any],
    ) -> dict[str, Any]:
        told = None
        if logprobs is not None:
            content = [
                {**_chat_token(entry.token), "top_logprobs": [_chat_token(t) for t in entry.top]}
                for entry in logprobs
            ]
            told = {"content": content, "refusal": None}
        return {"index": index, **what, "logprobs": told, "finish_reason": reason}


class TextShape:
    """`text_completion`. Remembers how much text each choice has, for `text_offset`."""

    whole_name = chunk_name = "text_completion"
    id_prefix = "cmpl-"

    def __init__(self) -> None:
        self._lengths: dict[int, int] = {}

    def delta(self, index: int, delta: Delta, *, first: bool) -> dict[str, Any]:
        return self._choice(index, delta.text, None, delta.logprobs)

    def last(self, index: int, reason: str) -> dict[str, Any]:
        return self._choice(index, "", reason, None)

    def whole(self, index: int, reply: Reply) -> dict[str, Any]:
        return self._choice(index, reply.text, reply.reason, reply.logprobs)

    def _choice(
        self, index: int, text: str, reason: str | None, logprobs: Sequence[Logprobs] | None
    ) -> dict[str, Any]:
        told = None
        if logprobs is not None:
            offset = self._lengths.get(index, 0)
            texts = [_text(entry.token) for entry in logprobs]
            told = {
                "tokens": texts,
                "token_logprobs": [entry.token.logprob for entry in logprobs],
                "top_logprobs": [{_text(t): t.logprob for t in e.top} for e in logprobs],
                "text_offset": [offset + len("".join(texts[:i])) for i in range(len(texts))],
            }
            self._lengths[index] = offset + len("".join(texts))
        return {"index": index, "text": text, "logprobs": told, "finish_reason": reason}


def _text(token: TokenLogprob) -> str:
    return token.text.decode("utf-8", "replace")


def _chat_token(token: TokenLogprob) -> dict[str, Any]:
    return {"token": _text(token), "logprob": token.logprob, "bytes": list(token.text)}


def _call(call: CallDelta) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _call_delta(call: CallDelta) -> dict[str, Any]:
    if call.id is not None:
        return {"index": call.index, **_call(call)}
    return {"index": call.index, "function": {"arguments": call.arguments}}
