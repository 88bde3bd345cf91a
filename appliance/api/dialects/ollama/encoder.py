"""Encodes Ollama's replies: a JSON object on each line."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from appliance.api.dialects.ollama.answers import (
    CalledWith,
    ChatAnswer,
    GenerateAnswer,
    OllamaAnswer,
    OllamaAnswerCall,
    OllamaAnswerMessage,
    OllamaError,
    OllamaToken,
    timestamp,
)
from appliance.api.dialects.ollama.context import Said, packed
from appliance.api.generation.encoder import ReplyCollector
from appliance.engine.protocol import (
    CallDelta,
    Delta,
    Finished,
    Logprobs,
    SequenceEvent,
    TokenLogprob,
)
from appliance.errors import ApplianceError

NDJSON = "application/x-ndjson"
_NANOSECONDS = 1_000_000_000


def line(value: msgspec.Struct) -> bytes:
    """One line of a stream."""
    return msgspec.json.encode(value) + b"\n"


class _LineEncoder:
    """What both have in common."""

    media_type = NDJSON
    keep_alive: bytes | None = None  # clients read JSON from every line

    def __init__(self, model: str) -> None:
        """`model`: the name that was asked for."""
        self._model = model
        self._began = time.monotonic()
        self._reply = ReplyCollector()

    def start(self) -> bytes:
        """Nothing."""
        return b""

    def event(self, index: int, event: SequenceEvent) -> bytes:
        """A piece; calls are written whole, before the last line."""
        self._reply.add(event)
        match event:
            case Delta():
                if not (event.text or event.reasoning):
                    return b""
                return line(self._answer(event.text, event.reasoning, [], event.logprobs, None))
            case Finished():
                calls = self._reply.calls
                before = line(self._answer("", "", calls, None, None)) if calls else b""
                return before + line(self._answer("", "", [], None, event))
            case _:
                return b""

    def finish(self) -> bytes:
        """Nothing: the last piece says so."""
        return b""

    def error(self, error: ApplianceError) -> bytes:
        """The last line of a stream that fails."""
        return line(OllamaError(error=error.message))

    def whole(self, replies: Sequence[ReplyCollector]) -> OllamaAnswer:
        """The answer that is not streamed."""
        (self._reply,) = replies
        reply = self._reply
        assert reply.finished
        return self._answer(
            reply.text, reply.reasoning, reply.calls, reply.logprobs, reply.finished
        )

    def loaded(self, reason: str) -> OllamaAnswer:
        """The answer to a request without a prompt."""
        raise NotImplementedError

    def _answer(
        self,
        text: str,
        thinking: str,
        calls: Sequence[CallDelta],
        logprobs: Sequence[Logprobs] | None,
        finished: Finished | None,
    ) -> OllamaAnswer:
        raise NotImplementedError

    def _common(
        self, logprobs: Sequence[Logprobs] | None, finished: Finished | None
    ) -> dict[str, Any]:
        common: dict[str, Any] = {
            "model": self._model,
            "created_at": timestamp(),
            "done": finished is not None,
            "logprobs": [_token(it.token, it.top) for it in logprobs] if logprobs else UNSET,
        }
        if finished:
            timings = finished.timings
            common |= {
                "done_reason": "length" if finished.reason == "length" else "stop",
                "total_duration": _duration(time.monotonic() - self._began),
                "load_duration": _duration(timings.queued),
                "prompt_eval_count": finished.prompt_tokens,
                "prompt_eval_duration": _duration(timings.prefill),
                "eval_count": finished.completion_tokens,
                "eval_duration": _duration(timings.decode),
            }
        return common


class ChatLines(_LineEncoder):
    """The lines of `POST /api/chat`."""

    def _answer(
        self,
        text: str,
        thinking: str,
        calls: Sequence[CallDelta],
        logprobs: Sequence[Logprobs] | None,
        finished: Finished | None,
    ) -> ChatAnswer:
        message = OllamaAnswerMessage(
            role="assistant",
            content=text,
            thinking=thinking,
            tool_calls=[_call(index, call) for index, call in enumerate(calls)],
        )
        return ChatAnswer(message=message, **self._common(logprobs, finished))

    def loaded(self, reason: str) -> ChatAnswer:
        """The answer to a request without messages."""
        common = self._common(None, None) | {"done": True, "done_reason": reason}
        return ChatAnswer(message=OllamaAnswerMessage(role="assistant", content=""), **common)


class GenerateLines(_LineEncoder):
    """The lines of `POST /api/generate`."""

    def __init__(self, model: str, *, raw: bool) -> None:
        """`raw`: the prompt is continued as it stands."""
        super().__init__(model)
        self._raw = raw
        self.so_far: list[Said] = []
        """The chat without the reply; empty: it is none."""

    def _answer(
        self,
        text: str,
        thinking: str,
        calls: Sequence[CallDelta],
        logprobs: Sequence[Logprobs] | None,
        finished: Finished | None,
    ) -> GenerateAnswer:
        return GenerateAnswer(
            response=text,
            thinking=thinking or UNSET,
            context=self._context() if finished and not self._raw else UNSET,
            **self._common(logprobs, finished),
        )

    def _context(self) -> list[int]:
        return packed([*self.so_far, ("assistant", self._reply.text)]) if self.so_far else []

    def loaded(self, reason: str) -> GenerateAnswer:
        """The answer to a request without a prompt."""
        common = self._common(None, None) | {"done": True, "done_reason": reason}
        return GenerateAnswer(response="", **common)


def _duration(seconds: float) -> int:
    """In nanoseconds; never 0, since clients divide by it."""
    return max(1, int(seconds * _NANOSECONDS))


def _call(index: int, call: CallDelta) -> OllamaAnswerCall:
    try:
        arguments = msgspec.json.decode(call.arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError:  # the reply was cut before they were whole
        arguments = {}
    function = CalledWith(index=index, name=call.name or "", arguments=arguments)
    return OllamaAnswerCall(id=call.id or "", function=function)


def _token(token: TokenLogprob, top: Sequence[TokenLogprob] | None = None) -> OllamaToken:
    return OllamaToken(
        token=token.text.decode("utf-8", "replace"),
        logprob=token.logprob,
        bytes=list(token.text),
        top_logprobs=UNSET if top is None else [_token(it) for it in top],
    )
