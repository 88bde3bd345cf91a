"""Encodes the replies of llama-server's own completions."""

from collections.abc import Iterator, Sequence

from msgspec import UNSET, UnsetType

from appliance.api.dialects.llama_server.answers import (
    LlamaPiece,
    LlamaProbabilities,
    LlamaTimings,
    LlamaToken,
)
from appliance.api.dialects.llama_server.settings import generation_settings
from appliance.api.generation.encoder import ReplyCollector
from appliance.api.wire import streams
from appliance.engine.protocol import (
    Accepted,
    Delta,
    Finished,
    Logprobs,
    SequenceEvent,
    TokenLogprob,
)
from appliance.engine.types import SamplingParams
from appliance.errors import ApplianceError
from appliance.http.errors import ErrorAnswer, error_object


class LlamaEncoder:
    """Whole, and in server-sent events without an end of their own."""

    media_type = streams.MEDIA_TYPE
    keep_alive: bytes | None = streams.KEEP_ALIVE

    def __init__(self, model: str, sampling: SamplingParams) -> None:
        """`model`: the id of the model that answers; `sampling`: how."""
        self._model = model
        self._sampling = sampling
        self._seeds: dict[int, int] = {}
        """By the choice's index."""

    def start(self) -> bytes:
        """Nothing."""
        return b""

    def event(self, index: int, event: SequenceEvent) -> bytes:
        """A piece, or the last one."""
        match event:
            case Accepted():
                self._seeds[index] = event.seed
                return b""
            case Delta():
                return b"".join(map(streams.event, self._pieces(index, event)))
            case Finished():
                return streams.event(self._last("", event, index, self._seeds.get(index), None))
            case _:
                return b""

    def _pieces(self, index: int, event: Delta) -> Iterator[LlamaPiece]:
        """One; with probabilities, one for each token."""
        tokens, probabilities = event.new_tokens, event.logprobs or []
        parts = [(event.text, tokens, event.logprobs)]
        if len(probabilities) > 1 and len(probabilities) == len(tokens):
            texts = [_text(entry.token) for entry in probabilities]
            if "".join(texts) != event.text:  # a character of several tokens, or held-back text
                texts = [*[""] * (len(tokens) - 1), event.text]
            parts = [
                (text, [token], [entry])
                for text, token, entry in zip(texts, tokens, probabilities, strict=True)
            ]
        for number, (text, new, of) in enumerate(parts):
            yield LlamaPiece(
                index=index,
                content=text,
                tokens=new,
                completion_probabilities=_probabilities(of),
                stop=False,
                model=self._model,
                tokens_predicted=event.tokens - len(parts) + number + 1,
            )

    def finish(self) -> bytes:
        """Nothing: the last piece says so."""
        return b""

    def error(self, error: ApplianceError) -> bytes:
        """The last event of a stream that fails."""
        return streams.event(ErrorAnswer(error_object(error)))

    def whole(self, replies: Sequence[ReplyCollector]) -> LlamaPiece | list[LlamaPiece]:
        """The answer that is not streamed; a list if there are several."""
        found = []
        for index, reply in enumerate(replies):
            assert reply.finished
            found.append(self._last(reply.text, reply.finished, index, reply.seed, reply.logprobs))
        return found if len(found) > 1 else found[0]

    def _last(
        self,
        text: str,
        event: Finished,
        index: int,
        seed: int | None,
        logprobs: Sequence[Logprobs] | None,
    ) -> LlamaPiece:
        word = event.stop_text
        return LlamaPiece(
            index=index,
            content=text,
            stop=True,
            model=self._model,
            tokens_predicted=event.completion_tokens,
            tokens_evaluated=event.prompt_tokens,
            tokens_cached=event.prompt_tokens + event.completion_tokens,
            truncated=False,
            stop_type="limit" if event.reason == "length" else "word" if word else "eos",
            stopping_word=word or "",
            timings=_timings(event),
            generation_settings=generation_settings(self._sampling, seed),
            completion_probabilities=_probabilities(logprobs),
        )


def _timings(event: Finished) -> LlamaTimings:
    read, written = event.prompt_tokens - event.cached_tokens, event.completion_tokens
    prefill, decode = (max(it, 1e-6) for it in (event.timings.prefill, event.timings.decode))
    return LlamaTimings(
        cache_n=event.cached_tokens,
        prompt_n=read,
        prompt_ms=prefill * 1000,
        prompt_per_token_ms=prefill * 1000 / max(1, read),
        prompt_per_second=read / prefill,
        predicted_n=written,
        predicted_ms=decode * 1000,
        predicted_per_token_ms=decode * 1000 / max(1, written),
        predicted_per_second=written / decode,
    )


def _probabilities(logprobs: Sequence[Logprobs] | None) -> list[LlamaProbabilities] | UnsetType:
    if not logprobs:
        return UNSET
    return [
        LlamaProbabilities(
            id=entry.token.id,
            token=_text(entry.token),
            bytes=list(entry.token.text),
            logprob=entry.token.logprob,
            top_logprobs=[
                LlamaToken(id=it.id, token=_text(it), bytes=list(it.text), logprob=it.logprob)
                for it in entry.top
            ],
        )
        for entry in logprobs
    ]


def _text(token: TokenLogprob) -> str:
    return token.text.decode("utf-8", "replace")
