"""How OpenAI's two completion endpoints write their objects."""

from collections.abc import Sequence
from typing import Any, Protocol

from appliance.engine.protocol import Logprobs, TokenLogprob


class Shape(Protocol):
    """One endpoint's way of writing."""

    whole_name: str
    """`object` of a reply that is not streamed."""
    chunk_name: str
    id_prefix: str

    def delta(
        self, index: int, text: str, logprobs: Sequence[Logprobs] | None, *, first: bool
    ) -> dict[str, Any]:
        """A choice of a chunk with text."""

    def last(self, index: int, reason: str) -> dict[str, Any]:
        """A choice of a chunk that ends it."""

    def whole(
        self, index: int, text: str, reason: str, logprobs: Sequence[Logprobs] | None
    ) -> dict[str, Any]:
        """A choice of a reply that is not streamed."""


class ChatShape:
    """`chat.completion`."""

    whole_name = "chat.completion"
    chunk_name = "chat.completion.chunk"
    id_prefix = "chatcmpl-"

    def delta(
        self, index: int, text: str, logprobs: Sequence[Logprobs] | None, *, first: bool
    ) -> dict[str, Any]:
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        return self._choice(index, logprobs, None, delta=delta)

    def last(self, index: int, reason: str) -> dict[str, Any]:
        return self._choice(index, None, reason, delta={})

    def whole(
        self, index: int, text: str, reason: str, logprobs: Sequence[Logprobs] | None
    ) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        return self._choice(index, logprobs, reason, message=message)

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

    def delta(
        self, index: int, text: str, logprobs: Sequence[Logprobs] | None, *, first: bool
    ) -> dict[str, Any]:
        return self._choice(index, text, None, logprobs)

    def last(self, index: int, reason: str) -> dict[str, Any]:
        return self._choice(index, "", reason, None)

    def whole(
        self, index: int, text: str, reason: str, logprobs: Sequence[Logprobs] | None
    ) -> dict[str, Any]:
        return self._choice(index, text, reason, logprobs)

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
