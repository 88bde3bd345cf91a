"""Encodes the responses of OpenAI's two completion endpoints."""

import codecs
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import UNSET, UnsetType

from appliance.api.dialects.openai.answers import (
    AnswerFunction,
    AnswerMessage,
    AnswerToolCall,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatLogprobs,
    ChatToken,
    CompletionUsage,
    FunctionDelta,
    MessageDelta,
    PromptTokensDetails,
    SampledChatToken,
    TextChoice,
    TextCompletion,
    TextLogprobs,
    ToolCallDelta,
)
from appliance.api.generation.encoder import ReplyCollector, StopReason, stop_reason
from appliance.api.wire import streams
from appliance.engine.protocol import (
    Accepted,
    CallDelta,
    Delta,
    Finished,
    Logprobs,
    Queued,
    SequenceEvent,
    TokenLogprob,
)
from appliance.errors import ApplianceError
from appliance.http.errors import ErrorAnswer, error_object

DONE_TEXT = "[DONE]"
"""The data of a stream's last event."""
DONE = streams.text_event(DONE_TEXT)


class _Encoder:
    """What the encoders of both endpoints have in common."""

    media_type = streams.MEDIA_TYPE
    keep_alive: bytes | None = streams.KEEP_ALIVE

    def __init__(self, id_prefix: str, model: str, *, include_usage: bool, n: int) -> None:
        """
        Args:
            id_prefix: what the answer's id begins with.
            model: the id of the model that answers.
            include_usage: whether a stream ends with a chunk that has the usage.
            n: choices for each prompt.
        """
        self._id = id_prefix + secrets.token_hex(12)
        self._created = int(time.time())
        self._model = model
        self._include_usage = include_usage
        self._n = n
        self._fingerprint: str | None = None
        self._finished: dict[int, Finished] = {}
        """By the choice's index."""

    def start(self) -> bytes:
        """Nothing: the first delta begins a choice."""
        return b""

    def event(self, index: int, event: SequenceEvent) -> bytes:
        """A chunk, or a comment while the request waits."""
        match event:
            case Accepted():
                self._fingerprint = event.fingerprint or None
                return b""
            case Queued(position=place):
                return f": place {place} in the queue\n\n".encode()
            case Delta():
                return self._delta(index, event)
            case Finished():
                self._finished[index] = event
                return self._last(index, stop_reason(event))
            case _:
                return b""

    def _delta(self, index: int, delta: Delta) -> bytes:
        """A chunk with the next part of a choice."""
        raise NotImplementedError

    def _last(self, index: int, reason: StopReason) -> bytes:
        """The chunk that ends a choice."""
        raise NotImplementedError

    def _usage(self, usage: CompletionUsage) -> bytes:
        """The chunk with the usage."""
        raise NotImplementedError

    def _usage_of(self, replies: Sequence[ReplyCollector]) -> CompletionUsage:
        """Of replies that have finished."""
        finished = {i: reply.finished for i, reply in enumerate(replies) if reply.finished}
        return usage_of(finished, self._n)

    def finish(self) -> bytes:
        """The usage, if requested, and the end."""
        if not self._include_usage:
            return DONE
        return self._usage(usage_of(self._finished, self._n)) + DONE

    def error(self, error: ApplianceError) -> bytes:
        """OpenAI's error object, and the end."""
        return streams.event(ErrorAnswer(error_object(error))) + DONE


class ChatEncoder(_Encoder):
    """`chat.completion` and its chunks."""

    def __init__(
        self,
        model: str,
        *,
        include_usage: bool = False,
        n: int = 1,
        service_tier: Literal["default"] | UnsetType = UNSET,
    ) -> None:
        super().__init__("chatcmpl-", model, include_usage=include_usage, n=n)
        self._service_tier = service_tier
        self._begun: set[int] = set()

    def _delta(self, index: int, delta: Delta) -> bytes:
        first = index not in self._begun
        self._begun.add(index)
        calls = list(_call_deltas(delta.calls))
        message = MessageDelta(
            role="assistant" if first else None,
            content=delta.text if delta.text or not (delta.reasoning or delta.calls) else None,
            reasoning_content=delta.reasoning or None,
            reasoning=delta.reasoning or None,
            tool_calls=calls[:1] or None,
        )
        chunks = [self._choice(index, message, None, delta.logprobs)]
        chunks += [
            self._choice(index, MessageDelta(tool_calls=[call]), None, None) for call in calls[1:]
        ]
        return b"".join(chunks)

    def _last(self, index: int, reason: StopReason) -> bytes:
        return self._choice(index, MessageDelta(), reason, None)

    def _choice(
        self,
        index: int,
        delta: MessageDelta,
        reason: StopReason | None,
        logprobs: Sequence[Logprobs] | None,
    ) -> bytes:
        choice = ChatChunkChoice(
            index=index, delta=delta, logprobs=_chat_logprobs(logprobs), finish_reason=reason
        )
        return streams.event(self._chunk([choice], None))

    def _usage(self, usage: CompletionUsage) -> bytes:
        return streams.event(self._chunk([], usage))

    def _chunk(
        self, choices: list[ChatChunkChoice], usage: CompletionUsage | None
    ) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            service_tier=self._service_tier,
            choices=choices,
            usage=usage,
        )

    def whole(self, replies: Sequence[ReplyCollector]) -> ChatCompletion:
        """The answer that is not streamed."""
        choices = []
        for index, reply in enumerate(replies):
            message = AnswerMessage(
                role="assistant",
                content=None if reply.calls and not reply.text else reply.text,
                refusal=None,
                reasoning_content=reply.reasoning,
                reasoning=reply.reasoning,
                tool_calls=[_call(call) for call in reply.calls],
            )
            choices.append(
                ChatChoice(
                    index=index,
                    message=message,
                    logprobs=_chat_logprobs(reply.logprobs),
                    finish_reason=_reason(reply),
                )
            )
        return ChatCompletion(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=self._model,
            system_fingerprint=replies[0].fingerprint,
            service_tier=self._service_tier,
            choices=choices,
            usage=self._usage_of(replies),
        )


class TextEncoder(_Encoder):
    """`text_completion`, whole and in chunks."""

    def __init__(
        self,
        model: str,
        *,
        include_usage: bool = False,
        n: int = 1,
        echoed: Sequence[str] = (),
    ) -> None:
        """`echoed`: texts that the choices of each prompt begin with; none: of none."""
        super().__init__("cmpl-", model, include_usage=include_usage, n=n)
        self._echoed = echoed
        self._begun: set[int] = set()
        self._counters: dict[int, _CharacterCounter] = {}
        """Of each choice's tokens, for `text_offset`."""

    def _delta(self, index: int, delta: Delta) -> bytes:
        text = self._echo(index) + delta.text
        return streams.event(self._chunk([self._choice(index, text, None, delta.logprobs)], None))

    def _last(self, index: int, reason: StopReason) -> bytes:
        return streams.event(
            self._chunk([self._choice(index, self._echo(index), reason, None)], None)
        )

    def _echo(self, index: int) -> str:
        """The prompt's text, where a choice begins."""
        if not self._echoed or index in self._begun:
            return ""
        self._begun.add(index)
        return self._echoed[index // self._n]

    def _usage(self, usage: CompletionUsage) -> bytes:
        return streams.event(self._chunk([], usage))

    def whole(self, replies: Sequence[ReplyCollector]) -> TextCompletion:
        """The answer that is not streamed."""
        choices = [
            self._choice(index, self._echo(index) + reply.text, _reason(reply), reply.logprobs)
            for index, reply in enumerate(replies)
        ]
        self._fingerprint = replies[0].fingerprint
        return self._chunk(choices, self._usage_of(replies))

    def _chunk(self, choices: list[TextChoice], usage: CompletionUsage | None) -> TextCompletion:
        return TextCompletion(
            id=self._id,
            object="text_completion",
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            choices=choices,
            usage=usage,
        )

    def _choice(
        self,
        index: int,
        text: str,
        reason: StopReason | None,
        logprobs: Sequence[Logprobs] | None,
    ) -> TextChoice:
        described = None
        if logprobs is not None:
            counter = self._counters.setdefault(index, _CharacterCounter())
            described = TextLogprobs(
                tokens=[_named(entry.token) for entry in logprobs],
                token_logprobs=[entry.token.logprob for entry in logprobs],
                top_logprobs=[_likeliest(entry) for entry in logprobs],
                text_offset=[counter.add(entry.token.text) for entry in logprobs],
            )
        return TextChoice(index=index, text=text, logprobs=described, finish_reason=reason)


class _CharacterCounter:
    """Where tokens begin in the text that they make, in characters: one may take several tokens."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._length = 0

    def add(self, data: bytes) -> int:
        """The next token's place: of the character that it begins with or goes on with."""
        begun = self._length
        self._length += len(self._decoder.decode(data))
        return begun


def usage_of(finished: Mapping[int, Finished], n: int = 1) -> CompletionUsage:
    """Tokens of all choices together; a prompt counts once, whatever choices it has.

    Args:
        finished: by the choice's index.
        n: choices for each prompt, which follow each other.
    """
    # What one choice computed is cached for those after it. That is not what was there before.
    prompts: dict[int, Finished] = {}
    for index, event in finished.items():
        known = prompts.get(index // n)
        if known is None or event.cached_tokens < known.cached_tokens:
            prompts[index // n] = event
    prompt = sum(event.prompt_tokens for event in prompts.values())
    completion = sum(event.completion_tokens for event in finished.values())
    found = [event for event in prompts.values() if event.cached_from]
    return CompletionUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=sum(event.cached_tokens for event in prompts.values()),
            cached_from=found[0].cached_from if found else None,
        ),
    )


def _reason(reply: ReplyCollector) -> StopReason:
    assert reply.finished
    return stop_reason(reply.finished)


def _text(token: TokenLogprob) -> str:
    return token.text.decode("utf-8", "replace")


def _named(token: TokenLogprob) -> str:
    """A token's text, or what OpenAI writes for one that is a part of a character."""
    try:
        return token.text.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.text)


def _likeliest(entry: Logprobs) -> dict[str, float]:
    """By their texts, of which the likeliest token counts; the sampled one is among them."""
    found = {_named(entry.token): entry.token.logprob}
    for token in entry.top:
        found.setdefault(_named(token), token.logprob)
    return found


def _chat_logprobs(logprobs: Sequence[Logprobs] | None) -> ChatLogprobs | None:
    if logprobs is None:
        return None
    content = [
        SampledChatToken(
            token=_text(entry.token),
            logprob=entry.token.logprob,
            bytes=list(entry.token.text),
            top_logprobs=[
                ChatToken(token=_text(t), logprob=t.logprob, bytes=list(t.text)) for t in entry.top
            ],
        )
        for entry in logprobs
    ]
    return ChatLogprobs(content=content, refusal=None)


def _call(call: CallDelta) -> AnswerToolCall:
    function = AnswerFunction(name=call.name or "", arguments=call.arguments)
    return AnswerToolCall(id=call.id or "", type="function", function=function)


def _call_deltas(calls: Sequence[CallDelta]) -> Iterator[ToolCallDelta]:
    """One for each chunk, as OpenAI sends them: clients read one call of a chunk, and some take no
    arguments out of the one that has the name."""
    for call in calls:
        if call.id is not None:
            yield ToolCallDelta(
                index=call.index,
                function=FunctionDelta(arguments="", name=call.name or ""),
                id=call.id,
                type="function",
            )
        if call.id is None or call.arguments:
            yield ToolCallDelta(index=call.index, function=FunctionDelta(arguments=call.arguments))
