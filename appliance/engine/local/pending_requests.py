"""The requests that an engine has not ended yet, in the service."""

import itertools
import logging
import threading
from collections.abc import Callable

from appliance.engine.counters import RequestStats
from appliance.engine.protocol import (
    Accepted,
    Delta,
    Embed,
    EventSink,
    Failed,
    Generate,
    SequenceEvent,
    Terminal,
)
from appliance.errors import ApplianceError

log = logging.getLogger(__name__)


class PendingRequest:
    """A request, and how far it has come."""

    def __init__(self, command: Generate | Embed, sink: EventSink) -> None:
        self.command = command
        self.sink = sink
        self.sent = False
        self.accepted = False
        self.begun = False
        """Some of the reply was delivered: it can't be started over unnoticed."""
        self.deaths = 0
        """Workers that died while they had it."""


class PendingRequests:
    """Sees to it that each ends exactly once. Thread-safe; sinks are called without a lock."""

    def __init__(self, stats: RequestStats) -> None:
        self._stats = stats
        self._lock = threading.Lock()
        self._requests: dict[int, PendingRequest] = {}
        self._ids = itertools.count(1)

    def __len__(self) -> int:
        return len(self._requests)

    def add(
        self, command: Callable[[int], Generate | Embed], sink: EventSink, *, sent: bool
    ) -> Generate | Embed:
        """A new one; `sent`: a worker gets it at once. Returns the command with its id."""
        with self._lock:
            request = PendingRequest(command(next(self._ids)), sink)
            request.sent = sent
            self._requests[request.command.id] = request
            self._stats.submitted(request.command.id)
        return request.command

    def owners(self) -> list[str]:
        """Of each one, whose it is."""
        with self._lock:
            return [request.command.request.owner for request in self._requests.values()]

    def was_sent(self, id: int) -> bool | None:
        """Whether a worker has it; None: it has ended."""
        request = self._requests.get(id)
        return request.sent if request else None

    def take_unsent(self) -> list[Generate | Embed]:
        """Those that no worker has; the caller sends them to one."""
        with self._lock:
            waiting = [request for request in self._requests.values() if not request.sent]
            for request in waiting:
                request.sent = True
        return [request.command for request in waiting]

    def deliver(self, event: SequenceEvent) -> None:
        """Hand an event to its request's sink; nothing follows a terminal one."""
        with self._lock:
            request = self._requests.get(event.id)
            if request is None:
                return
            if isinstance(event, Accepted):
                if request.accepted:
                    return  # delivered already, from a worker that died before the reply began
                request.accepted = True
            elif isinstance(event, Delta):
                request.begun = True
            if isinstance(event, Terminal):
                del self._requests[event.id]
        self._stats.record(event)
        try:
            request.sink(event)
        except Exception:
            log.exception("a sink failed on %s", type(event).__name__)

    def worker_ended(self, error: ApplianceError) -> None:
        """Replies it had begun fail with `error`, the others wait for the next worker.

        Not twice: a request whose prefill killed two workers may well be the reason.
        """
        with self._lock:
            lost = []
            for id, request in self._requests.items():
                request.deaths += request.sent
                request.sent = False
                if request.begun or request.deaths > 1:
                    lost.append(id)
        self._fail(lost, error)

    def fail_all(self, error: ApplianceError) -> None:
        """Every one ends."""
        with self._lock:
            ids = list(self._requests)
        self._fail(ids, error)

    def _fail(self, ids: list[int], error: ApplianceError) -> None:
        for id in ids:
            self.deliver(Failed(id, error.code, error.message))
