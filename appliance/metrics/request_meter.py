"""One request to a model, measured: its events pass through here on their way."""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from structlog.contextvars import get_contextvars

from appliance.engine.protocol import Delta, Failed, Finished, Prefill, SequenceEvent
from appliance.engine.types import ChatPrompt, Prompt

if TYPE_CHECKING:
    from appliance.metrics.registry import Metrics

log = logging.getLogger(__name__)


class RequestErrors:
    """One HTTP request to a model, counted as an error once at most. Any thread may call.

    It can fail with its answer's status or, after that, in the middle of a stream; either way it is
    one request and one error.
    """

    def __init__(self, on_error: Callable[[], None]) -> None:
        """`on_error` is called once at most."""
        self._on_error = on_error
        self._lock = threading.Lock()
        self._answered = self._broken = self._counted = False
        self.listed = False
        """It is among the recent requests."""

    def answered(self, *, ok: bool) -> None:
        """The status line is decided."""
        self._note(answered=True, broken=not ok)

    def broke(self) -> None:
        """A model failed at it."""
        self._note(broken=True)

    def _note(self, *, answered: bool = False, broken: bool = False) -> None:
        with self._lock:
            self._answered |= answered
            self._broken |= broken
            is_error = self._answered and self._broken and not self._counted
            self._counted |= is_error
        if is_error:
            self._on_error()


current_route: ContextVar[str] = ContextVar("current_route", default="")
"""The route of the HTTP request that this thread serves."""
current_request: ContextVar[RequestErrors | None] = ContextVar("current_request", default=None)
"""The HTTP request that this thread serves."""


class RequestMeter:
    """A sink before the sink. Made on the thread of the request, called on the engine's."""

    def __init__(
        self,
        metrics: "Metrics",
        model: str,
        caller: str,
        owner: str,
        prompt: Prompt,
        sink: Callable[[SequenceEvent], None],
    ) -> None:
        self._metrics = metrics
        self._sink = sink
        self._of = metrics.of(model, caller)
        self._kind = "chat" if isinstance(prompt, ChatPrompt) else "completions"
        self._errors = current_request.get()
        if self._errors is None:  # over a WebSocket, where no request of its own carries it
            self._errors = metrics.start_request(self._kind)
            self._errors.answered(ok=True)
        self._log_fields: dict[str, Any] = {}
        if metrics.tracing:
            self._log_fields = {**get_contextvars(), "model": model, "caller": caller}
        self._errors.listed = True
        self._recent = metrics.recent.begin(
            owner, str(get_contextvars().get("request_id", "")), current_route.get(), model
        )
        self._began = time.monotonic()
        self._first = 0.0
        self._last = 0.0
        self._tokens = 0
        self._read = 0
        """Tokens of the prompt that were read, cached ones included."""
        self._cached = 0

    def __call__(self, event: SequenceEvent) -> None:
        """The next event."""
        if isinstance(event, Delta):
            self._more(event.tokens)
        elif isinstance(event, Prefill):
            self._prompt(event.done, event.cached_tokens)
        elif isinstance(event, Finished):
            if event.reason != "cancelled":  # whose prompt may not have been read to its end
                self._prompt(event.prompt_tokens, event.cached_tokens)
            self._count(event.completion_tokens)
            self._end(event.reason)
            if self._metrics.tracing:
                self._trace_end(event)
        elif isinstance(event, Failed):
            assert self._errors is not None
            self._errors.broke()
            self._end(event.code)
            if self._metrics.tracing:
                self._trace("failed", code=event.code, completion_tokens=self._tokens)
        self._sink(event)

    def refused(self) -> None:
        """It was not even taken."""
        assert self._errors is not None
        self._errors.broke()
        self._recent.end, self._recent.duration_ms = "refused", self._milliseconds()

    def _more(self, tokens: int) -> None:
        now = time.monotonic()
        new = tokens - self._tokens
        if not self._first:
            self._first = now
            self._of.first_token.observe(now - self._began)
            self._metrics.throughput.first(now - self._began)
            self._recent.first_token_ms = self._milliseconds()
        elif new > 0:
            gap = (now - self._last) / new
            for _ in range(new):
                self._of.between_tokens.observe(gap)
            self._metrics.throughput.further(new, self._last)
        self._last = now
        self._count(tokens)

    def _count(self, tokens: int) -> None:
        if tokens > self._tokens:
            self._of.generated.inc(tokens - self._tokens)
            self._metrics.tokens_of[self._kind].inc(tokens - self._tokens)
            self._tokens = self._recent.completion_tokens = tokens

    def _prompt(self, done: int, cached: int) -> None:
        """A prompt that a second worker reads again is counted from where it begins."""
        if done < self._read:
            self._read = self._cached = 0
        saved = max(0, cached - self._cached)
        computed = max(0, done - self._read - saved)
        self._of.saved.inc(saved)
        self._of.prefilled.inc(computed)
        self._read = max(done, self._read)
        self._cached = max(cached, self._cached)
        self._recent.prompt_tokens, self._recent.cached_tokens = self._read, self._cached

    def _end(self, how: str) -> None:
        self._metrics.seconds_of[self._kind].observe(time.monotonic() - self._began)
        self._of.ended(how)
        self._recent.end, self._recent.duration_ms = how, self._milliseconds()

    def _milliseconds(self) -> float:
        return round((time.monotonic() - self._began) * 1000, 1)

    def _trace_end(self, event: Finished) -> None:
        self._trace(
            event.reason,
            prompt_tokens=event.prompt_tokens,
            cached_tokens=event.cached_tokens,
            completion_tokens=event.completion_tokens,
            queued_seconds=round(event.timings.queued, 4),
            prefill_seconds=round(event.timings.prefill, 4),
            decode_seconds=round(event.timings.decode, 4),
        )

    def _trace(self, how: str, **figures: object) -> None:
        now = time.monotonic()
        first = round(self._first - self._began, 4) if self._first else None
        seconds = {"first_token_seconds": first, "seconds": round(now - self._began, 4)}
        log.info("%s %s", self._kind, how, extra={**self._log_fields, **figures, **seconds})
