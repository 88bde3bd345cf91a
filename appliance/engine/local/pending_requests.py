"""The requests that an engine has not ended yet, in the service: how far each has come, and which
of them a worker may have died of."""

import itertools
import logging
import threading
import time
from array import array
from collections.abc import Callable

import msgspec

from appliance.engine.counters import RequestStats
from appliance.engine.protocol import (
    Accepted,
    Begun,
    Delta,
    Embed,
    EventSink,
    Failed,
    Finished,
    Generate,
    Prefill,
    Queued,
    SequenceEvent,
    Terminal,
    Timings,
    cancelled,
)
from appliance.errors import ApplianceError, WorkerDied

log = logging.getLogger(__name__)

MOST_DEATHS = 2
"""Workers that may die of a request; then it is refused."""
MOST_FRUITLESS = 10
"""Workers that may die, whatever of, without one more token for a request they were at work on."""


class PendingRequest:
    """A request, and how far it has come."""

    def __init__(self, command: Generate | Embed, sink: EventSink) -> None:
        self.command = command
        self.sink = sink
        self.sent = False
        """A worker has it."""
        self.cancelling = False
        """Nobody wants it any more: no other worker gets it."""
        self.in_hand = False
        """That worker may be at work on it; what waits for a slot can't be what it died of."""
        self.accepted: Accepted | None = None
        self.begun = False
        """Some of the reply was delivered: it goes on from there."""
        before = command.begun if isinstance(command, Generate) else None
        self.tokens = array("i", before.tokens if before else ())
        """The reply's tokens delivered so far."""
        self.cached: Prefill | None = None
        """With what was found in the cache when it was read first."""
        self.deaths = 0
        """Deaths of workers that it probably caused."""
        self.suspect = False
        """The last worker may have died of it, and there was no token of it since: tried alone."""
        self.fruitless = 0
        """Workers that died while they were at work on it, since there was a token of it."""
        self._mirostat_mu: float | None = before.mirostat_mu if before else None
        self._times = [time.monotonic()]
        """When it came, when it was first worked on, and when its first token came."""

    def take(self, event: SequenceEvent) -> bool:
        """Apply an event of its worker; whether it must be passed on to the request's sink."""
        if isinstance(event, Accepted):
            news = self.accepted is None
            self.accepted = self.accepted or event
            self.in_hand = isinstance(self.command, Embed)  # whose batches are all alike
            return news
        if isinstance(event, Queued):
            self.in_hand = False
            return not self.begun
        if isinstance(event, Prefill):
            self.in_hand = True
            self._reached(1)
            if not self.begun:
                self.cached = event
            return not self.begun
        if isinstance(event, Delta):
            self._reached(2)
            self.begun = True
            self.tokens.extend(event.new_tokens)
            self._mirostat_mu = event.mirostat_mu
            self.suspect = False
            self.fruitless = 0
        return True

    def _reached(self, stage: int) -> None:
        while len(self._times) <= stage:
            self._times.append(time.monotonic())

    def so_far(self) -> Begun | None:
        """The progress that the next worker resumes from; None: it starts at the beginning."""
        if self.accepted is None:
            return self.command.begun if isinstance(self.command, Generate) else None
        now = time.monotonic()
        came, worked, wrote = (self._times + [now] * 2)[:3]
        return Begun(
            seed=self.accepted.seed,
            tokens=self.tokens.tolist(),
            mirostat_mu=self._mirostat_mu,
            cached_tokens=self.cached.cached_tokens if self.cached else 0,
            cached_from=self.cached.cached_from if self.cached else None,
            timings=Timings(queued=worked - came, prefill=wrote - worked, decode=now - wrote),
        )

    def to_send(self) -> Generate | Embed:
        """The command for a worker, which has it now."""
        self.sent = self.in_hand = True
        if isinstance(self.command, Embed):
            return self.command
        return msgspec.structs.replace(self.command, begun=self.so_far())

    def cancelled(self) -> Finished:
        """Its end, while no worker has it."""
        prompt_tokens = self.accepted.prompt_tokens if self.accepted else 0
        return cancelled(self.command.id, prompt_tokens, self.so_far())


class PendingRequests:
    """Sees to it that each ends exactly once. Thread-safe; sinks are called without a lock."""

    def __init__(self, stats: RequestStats) -> None:
        self._stats = stats
        self._lock = threading.Lock()
        self._requests: dict[int, PendingRequest] = {}
        self._ids = itertools.count(1)

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, command: Callable[[int], Generate | Embed], sink: EventSink) -> int:
        """A new one, which no worker has; its id."""
        with self._lock:
            request = PendingRequest(command(next(self._ids)), sink)
            self._requests[request.command.id] = request
            self._stats.submitted(request.command.id)
        return request.command.id

    def owners(self) -> list[str]:
        """The owner of each request."""
        with self._lock:
            return [request.command.request.owner for request in self._requests.values()]

    def take_unsent(self) -> list[Generate | Embed]:
        """Those that a worker is to get now; the caller sends them.

        A suspect is tried while nothing else is read: replies that were begun go on beside it, what
        is new waits for its first token or its end. So whatever the worker dies of is known.
        """
        with self._lock:
            suspects = [request for request in self._requests.values() if request.suspect]
            trusted = [request for request in self._requests.values() if not request.suspect]
            taken = [one for one in trusted if not one.sent and (one.begun or not suspects)]
            if not any(one.sent for one in suspects):
                taken += suspects[:1]
            return [request.to_send() for request in taken]

    def cancel(self, id: int) -> bool:
        """End a request, at once if no worker has it; False: one has it, or it has ended."""
        with self._lock:
            request = self._requests.get(id)
            if request is None:
                return False
            request.cancelling = True
            end = None if request.sent else request.cancelled()
        if end is not None:
            self.deliver(end)
        return end is not None

    def deliver(self, event: SequenceEvent) -> bool:
        """Hand an event to its request's sink; nothing follows a terminal one.

        Returns whether a suspect is one no longer, so that others may be sent.
        """
        with self._lock:
            request = self._requests.get(event.id)
            if request is None:
                return False
            suspect = request.suspect
            news = request.take(event)
            if isinstance(event, Terminal):
                del self._requests[event.id]
                request.suspect = False
        if news or not isinstance(event, Accepted):
            self._stats.record(event)
        if news:
            try:
                request.sink(event)
            except Exception:
                log.exception("a sink failed on %s", type(event).__name__)
        return suspect and not request.suspect

    # -- deaths ----------------------------------------------------------------------------------

    def worker_ended(self) -> list[PendingRequest]:
        """No worker has any of them now; those that the last one may have been at work on."""
        with self._lock:
            in_hand = [one for one in self._requests.values() if one.sent and one.in_hand]
            for request in self._requests.values():
                request.sent = request.in_hand = False
            ends = [one.cancelled() for one in self._requests.values() if one.cancelling]
        for end in ends:
            self.deliver(end)
        return in_hand

    def convicts(self, in_hand: list[PendingRequest]) -> bool:
        """Whether `blame` would refuse one of them."""
        return any(one.deaths + 1 >= MOST_DEATHS for one in _blamed(in_hand))

    def blame(self, in_hand: list[PendingRequest], reason: str) -> None:
        """A worker died of its own doing with these in hand: they are suspects now, and who is one
        for the second time is refused. `reason`: how it died."""
        blamed = _blamed(in_hand)
        with self._lock:
            for request in in_hand:
                # Where all of them had begun, any may be the cause; nobody is charged for that.
                request.suspect = request.suspect or not blamed or request in blamed
                request.deaths += request in blamed
            lost = [one.command.id for one in blamed if one.deaths >= MOST_DEATHS]
        for id in lost:
            self._fail(
                id,
                WorkerDied(
                    f"the model's worker died of this request {MOST_DEATHS} times, so it is not "
                    f"tried again: {reason}"
                ),
            )

    def give_up_fruitless(self, in_hand: list[PendingRequest], reason: str) -> None:
        """A worker died, whatever of, with these in hand: refuse those that get nowhere."""
        with self._lock:
            for request in in_hand:
                request.fruitless += 1
            lost = [one.command.id for one in in_hand if one.fruitless >= MOST_FRUITLESS]
        for id in lost:
            self._fail(
                id,
                WorkerDied(f"{MOST_FRUITLESS} workers ended before there was a token: {reason}"),
            )

    def fail_all(self, error: ApplianceError, begun: ApplianceError | None = None) -> None:
        """Every one ends; `begun`: with which error replies do that were being written."""
        with self._lock:
            ends = [
                (id, begun if begun and request.begun else error)
                for id, request in self._requests.items()
            ]
        for id, end in ends:
            self._fail(id, end)

    def _fail(self, id: int, error: ApplianceError) -> None:
        self.deliver(Failed(id, error.code, error.message))


def _blamed(in_hand: list[PendingRequest]) -> list[PendingRequest]:
    """Whom a death counts against: who was tried alone, else who had no token yet or was alone."""
    tried = [request for request in in_hand if request.suspect]
    new = [request for request in in_hand if not request.begun]
    return tried or new or (in_hand if len(in_hand) == 1 else [])
