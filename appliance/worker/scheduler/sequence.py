"""A sequence: one prompt and its completion inside the engine. Touched by the step loop alone."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import TYPE_CHECKING

from appliance.engine.protocol import (
    Accepted,
    Begun,
    CachedFrom,
    CallDelta,
    Delta,
    Finished,
    FinishReason,
    Logprobs,
    Prefill,
    Queued,
    Timings,
)
from appliance.engine.types import SamplingParams
from appliance.worker.parsers.base import (
    Content,
    OutputPart,
    PlainParser,
    Reasoning,
    ReplyParser,
    ToolCallArguments,
    ToolCallBegan,
    merge_parts,
)
from appliance.worker.parsers.detokenizer import Detokenizer
from appliance.worker.scheduler.prompt_tokens import PromptTokens

if TYPE_CHECKING:
    from appliance.worker.runners.base import Sampler

ALONE_CHUNK = 128
"""Prompt tokens of a step of a sequence that is to be reproducible."""
MOST_SINGLY = 256
"""Tokens of a reply that are computed as they were for the next worker to go on."""


class Sequence:
    """Tokens, how many of them are in the KV cache, and how much was sent.

    `tokens` holds the prompt and then the completion. `tokens[n_past:]` is pending: many tokens
    while the prompt is read, one while decoding. A sequence that lost its slot needs no other state
    than that to go on.
    """

    def __init__(
        self,
        id: int,
        prompt: PromptTokens,
        sampling: SamplingParams,
        *,
        sampler: "Sampler",
        parser: ReplyParser | None = None,
        seed: int,
        max_completion_tokens: int,
        dropped_messages: int = 0,
        owner: str = "",
        least_together: int = 2,
        reply_from: int | None = None,
    ) -> None:
        """
        Args:
            max_completion_tokens: at most; the context's end counts, too.
            owner: whose it is, where sequences wait.
            least_together: see `runners.base.Runner`.
            reply_from: tokens before the reply, which the prompt may end with the beginning of;
                None: it is not a chat's.
        """
        self.id = id
        self.tokens = prompt
        self.n_prompt = len(prompt)
        self.reply_from = reply_from
        self.sampling = sampling
        self.alone = sampling.reproducible
        """It is computed by itself, in the same steps each time: with others in its batches, or all
        at once, the last digits would differ, and with them a word some time."""
        self.sampler = sampler
        self.seed = seed
        self.max_completion_tokens = max_completion_tokens
        self._dropped_messages = dropped_messages
        self._text = Detokenizer(sampling.stop)
        self._parser = parser or PlainParser()
        self._called = False
        self.n_past = 0
        self.n_cached = 0
        self.owner = owner
        self._least_together = least_together
        self.cached_from: CachedFrom | None = None
        self.slot: int | None = None
        self._ends: list[int] = []
        """Where steps end in which a reply is computed as it was."""
        self._chosen_from = self.n_prompt
        """Tokens from there on were chosen together, the last time."""
        self.pause = 0
        """Where tokens stop for a step: a checkpoint is taken there."""
        self._position = 0
        self.announced = False
        """It is known that there is work on it."""
        self.logprobs: list[Logprobs] = []
        """For the tokens since the last delta."""
        self._new_tokens: list[int] = []
        """Those since the last delta."""
        self._submitted = time.monotonic()
        self._started = self._first_token = 0.0

    @property
    def n_completion(self) -> int:
        """Tokens made so far."""
        return len(self.tokens) - self.n_prompt

    @property
    def n_pending(self) -> int:
        """Tokens that are not in the KV cache yet."""
        return len(self.tokens) - self.n_past

    @property
    def n_next(self) -> int:
        """Pending tokens that may be computed together."""
        if self.alone:
            left = self.n_prompt - self.n_past
            return min(ALONE_CHUNK, left) if left > 0 else 1
        until = len(self.tokens)
        if self._ends and self.n_past < self._ends[-1]:
            until = self._ends[bisect_right(self._ends, self.n_past)]
        elif self.decoding and self.n_pending < self._least_together:
            until = self.n_past + 1
        if self.n_past < self.pause:
            until = min(until, self.pause)
        return until - self.n_past

    @property
    def prefilling(self) -> bool:
        """The prompt is not computed to its end yet."""
        return self.n_past < self.n_prompt

    @property
    def decoding(self) -> bool:
        """Its next step is of what was chosen last, most often one token, or the last token of a
        prompt whose beginning was cached."""
        return self.n_pending == 1 or self.n_past >= self._chosen_from

    def go_on(self, begun: Begun, to_bytes: Callable[[int], bytes]) -> None:
        """Take over what an earlier worker made and sent; `to_bytes`: a token's text.

        All at once, its tokens would be computed sooner, but not to the last digit as they were:
        9 of 16 greedy replies of SmolLM2 135M and 1 of 10 of Gemma 3 270M went on differently. So
        where the same reply is to be expected, and it is not too long, it is computed as it was.
        """
        now = time.monotonic()
        took = begun.timings
        self.n_cached, self.cached_from = begun.cached_tokens, begun.cached_from
        for token in begun.tokens:
            self.tokens.append(token)
            self.append_text(to_bytes(token), last=False)
        if begun.mirostat_mu is not None:
            self.sampler.mirostat_mu = begun.mirostat_mu
        exact = self.sampling.temperature <= 0 or self.sampling.seed is not None
        if exact and len(begun.tokens) <= MOST_SINGLY:
            steps = (
                step
                for group in self.sampler.groups
                for step in ([group] if group >= self._least_together else [1] * group)
            )
            self._ends = list(accumulate(steps, initial=self.n_prompt))
        self._chosen_from = len(self.tokens)
        if begun.tokens:
            self._first_token = now - took.decode
            self._started = self._first_token - took.prefill
            self._submitted = self._started - took.queued
        else:
            self._submitted = now - took.queued - took.prefill

    def start(self, slot: int, cached: int, cached_from: CachedFrom | None) -> None:
        """A slot was given, with `cached` leading tokens in it already."""
        self.slot = slot
        self.announced = False
        self.n_past = cached
        if not self._started:
            self._started = time.monotonic()
            self.n_cached = cached
            self.cached_from = cached_from

    def append(self, token: int) -> None:
        """A token was chosen."""
        if not self.n_pending:
            self._chosen_from = len(self.tokens)
        if not self._first_token:
            self._first_token = time.monotonic()
        self.tokens.append(token)
        self._new_tokens.append(token)

    def accepted(self, n_ctx: int) -> Accepted:
        """The first event; `n_ctx`: tokens that it may span."""
        return Accepted(self.id, self.n_prompt, self.seed, self._dropped_messages, n_ctx)

    def queued(self, position: int) -> Queued | None:
        """Its position in the queue, if that has changed."""
        if position == self._position:
            return None
        self._position = position
        return Queued(self.id, position)

    def progress(self) -> Prefill:
        """How far the prompt is computed."""
        self.announced = True
        return Prefill(self.id, self.n_past, self.n_cached, self.cached_from)

    @property
    def stopped(self) -> bool:
        """A stop text was met, or a second call where the template takes one at a time."""
        return self._text.stopped or self._parser.over

    def append_text(self, data: bytes, *, last: bool) -> Delta | None:
        """The bytes of one more token; returns what can be sent now. `last`: all that is left."""
        text = self._text.feed(data)
        last = last or self._text.stopped
        if last:
            text += self._text.finish()
        parts = self._parser.feed(text)
        if last:
            parts += self._parser.finish()
        return self._delta(merge_parts(parts))

    def _delta(self, parts: list[OutputPart]) -> Delta | None:
        if not parts:
            return None
        calls = call_deltas(parts)
        self._called = self._called or bool(calls)
        logprobs, self.logprobs = self.logprobs, []
        new_tokens, self._new_tokens = self._new_tokens, []
        return Delta(
            self.id,
            "".join(part.text for part in parts if isinstance(part, Content)),
            self.n_completion,
            "".join(part.text for part in parts if isinstance(part, Reasoning)),
            calls,
            logprobs if self.sampling.logprobs is not None else None,
            new_tokens,
            self.sampler.mirostat_mu,
        )

    def finished(self, reason: FinishReason) -> Finished:
        """The terminal event."""
        if reason == "stop" and self._called:
            reason = "tool_calls"
        now = time.monotonic()
        started = self._started or now
        first = self._first_token or now
        return Finished(
            id=self.id,
            reason=reason,
            prompt_tokens=self.n_prompt,
            cached_tokens=self.n_cached,
            cached_from=self.cached_from,
            completion_tokens=self.n_completion,
            timings=Timings(
                queued=started - self._submitted, prefill=first - started, decode=now - first
            ),
            stop_text=self._text.stop_text,
        )


def call_deltas(parts: Iterable[OutputPart]) -> list[CallDelta]:
    """What is new of tool calls, one entry for each call: clients read one of each chunk."""
    found: dict[int, CallDelta] = {}
    for part in parts:
        if isinstance(part, ToolCallBegan):
            found[part.index] = CallDelta(part.index, part.id, part.name)
        elif isinstance(part, ToolCallArguments):
            before = found.get(part.index, CallDelta(part.index))
            found[part.index] = CallDelta(
                part.index, before.id, before.name, before.arguments + part.delta
            )
    return list(found.values())
