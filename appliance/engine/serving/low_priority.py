"""Requests of low priority: they run only while nobody else has a request at any model.

Such a request is taken from its worker when somebody else's comes, which costs that one a step at
most, and goes on from its tokens once it is quiet again. No model is loaded for it in place of one
that people have just used.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from appliance.engine.protocol import (
    Accepted,
    Begun,
    Delta,
    EventSink,
    Failed,
    Finished,
    Prefill,
    Queued,
    SequenceEvent,
    Terminal,
    Timings,
    cancelled,
)
from appliance.errors import ApplianceError, InternalError

log = logging.getLogger(__name__)

QUIET_SECONDS = 1.0
"""Without anybody's request, after which a loaded model is used."""
LOAD_SECONDS = 60.0
"""The same for one that has to be loaded."""
LOOK_SECONDS = 0.25

Start = Callable[[EventSink, Begun | None], Callable[[], None]]
"""Submits a request to its model; returns what cancels it."""

_low_priority = ContextVar("low_priority", default=False)


@contextmanager
def low_priority() -> Iterator[None]:
    """What this thread submits meanwhile has low priority."""
    token = _low_priority.set(True)
    try:
        yield
    finally:
        _low_priority.reset(token)


class LowPriorityRequest:
    """One of them. `sink` gets the events as if nothing had ever come between."""

    def __init__(
        self, start: Start, sink: EventSink, loaded: Callable[[], bool], *, text: bool
    ) -> None:
        """`text`: its reply can go on from where it is; else it runs to its end once begun."""
        self._start = start
        self._sink = sink
        self.loaded = loaded
        self._text = text
        self.wanted = True
        self._cancel: Callable[[], None] | None = None
        self.paused = False
        self._accepted: Accepted | None = None
        self._cached: Prefill | None = None
        self._tokens: list[int] = []
        self._mirostat_mu: float | None = None
        self._whole = True
        """Each piece came with its tokens."""

    def begin(self, ended: "Callable[[LowPriorityRequest, bool], bool]") -> None:
        """Submit it; `ended` gets whether it was paused, and decides whether it continues later."""

        def take(event: SequenceEvent) -> None:
            if isinstance(event, Terminal):
                cut = isinstance(event, Finished) and event.reason == "cancelled"
                if ended(self, cut and self.paused):
                    return
            elif isinstance(event, Accepted):
                if self._accepted:
                    return
                self._accepted = event
            elif isinstance(event, Queued | Prefill) and self._tokens:
                return
            elif isinstance(event, Prefill):
                self._cached = event
            elif isinstance(event, Delta):
                self._tokens += event.new_tokens
                self._mirostat_mu = event.mirostat_mu
                self._whole = self._whole and bool(event.new_tokens)
            self._sink(event)

        try:
            self._cancel = self._start(take, self._begun())
        except ApplianceError as ex:
            take(Failed(0, ex.code, ex.message, ex.param))
            return
        except Exception as ex:  # the thread that begins them serves all others
            log.exception("a request of low priority could not be submitted")
            take(Failed(0, InternalError.code, str(ex), None))
            return
        if self.paused or not self.wanted:
            self._cancel()

    def pause(self) -> None:
        """Give way, if it can go on later."""
        if self._text and self._whole:
            self.paused = True
            if self._cancel:
                self._cancel()

    def stop(self) -> None:
        """End it."""
        self.wanted = False
        if self._cancel:
            self._cancel()

    def end(self) -> None:
        """It was stopped while no worker had it."""
        prompt_tokens = self._accepted.prompt_tokens if self._accepted else 0
        self._sink(cancelled(0, prompt_tokens, self._begun()))

    def _begun(self) -> Begun | None:
        if self._accepted is None:
            return None
        nothing = Timings(queued=0, prefill=0, decode=0)
        return Begun(
            seed=self._accepted.seed,
            tokens=list(self._tokens),
            mirostat_mu=self._mirostat_mu,
            cached_tokens=self._cached.cached_tokens if self._cached else 0,
            cached_from=self._cached.cached_from if self._cached else None,
            timings=nothing,
        )


class LowPriorityQueue:
    """Of all models together. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._people = 0
        self._last_people = -LOAD_SECONDS
        self._waiting: list[LowPriorityRequest] = []
        self._running: set[LowPriorityRequest] = set()
        self._closing = False
        self._thread: threading.Thread | None = None

    def submit(
        self,
        start: Start,
        sink: EventSink,
        begun: Begun | None,
        loaded: Callable[[], bool],
        *,
        text: bool = True,
    ) -> Callable[[], None]:
        """Submit a request, at once or, at low priority, when nobody else has one. Returns what
        cancels it.

        Args:
            start: submits it.
            sink: of its events.
            begun: of its reply.
            loaded: whether its model is.
            text: see `LowPriorityRequest`.

        Raises:
            ApplianceError: it was refused.
        """
        if not _low_priority.get():
            with self._of_people(sink) as counted:
                return start(counted, begun)
        assert begun is None, "what has begun has normal priority"
        request = LowPriorityRequest(start, sink, loaded, text=text)
        with self._changed:
            self._waiting.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="low priority", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return lambda: self._stop(request)

    def close(self) -> None:
        """Nothing is begun any more; what waits ends."""
        with self._changed:
            self._closing = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for request in waiting:
            request.end()

    @contextmanager
    def _of_people(self, sink: EventSink) -> Iterator[EventSink]:
        with self._changed:
            self._people += 1
            giving_way = list(self._running)
        for request in giving_way:
            request.pause()

        def take(event: SequenceEvent) -> None:
            if isinstance(event, Terminal):
                self._gone()
            sink(event)

        try:
            yield take
        except BaseException:
            self._gone()
            raise

    def _gone(self) -> None:
        with self._changed:
            self._people -= 1
            self._last_people = time.monotonic()

    def _stop(self, request: LowPriorityRequest) -> None:
        with self._changed:
            waited = request in self._waiting
            if waited:
                self._waiting.remove(request)
            request.wanted = False
        request.stop()
        if waited:
            request.end()

    def _ended(self, request: LowPriorityRequest, paused: bool) -> bool:
        with self._changed:
            self._running.discard(request)
            again = paused and request.wanted and not self._closing
            if again:
                request.paused = False
                self._waiting.insert(0, request)
            self._changed.notify_all()
        return again

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._waiting)
                if self._closing:
                    return
                ready = [it for it in self._waiting if self._is_quiet_for(it)]
                self._waiting = [it for it in self._waiting if it not in ready]
                self._running |= set(ready)
            for request in ready:
                request.begin(self._ended)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, LOOK_SECONDS)

    def _is_quiet_for(self, request: LowPriorityRequest) -> bool:
        quiet = time.monotonic() - self._last_people
        return not self._people and quiet >= (QUIET_SECONDS if request.loaded() else LOAD_SECONDS)
