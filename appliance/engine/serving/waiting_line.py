"""Requests for models that are not loaded, and whose place others are at work in.

Models take turns: one that others wait for finishes what it has in hand and goes on with what comes
for it for a while, and then gives up its place, however many want it. The model whose last turn
was longest ago is next. Of one model's requests, owners take turns.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from appliance.engine.base import Engine, EngineState
from appliance.engine.fair_queue import FairQueue, is_full
from appliance.engine.protocol import (
    EventSink,
    Failed,
    Queued,
    SequenceEvent,
    Terminal,
    cancelled,
)
from appliance.errors import ApplianceError, QueueFull, ShuttingDown, Unavailable

log = logging.getLogger(__name__)

TURN_SECONDS = 10.0
"""How long a model goes on with new requests while another one is waited for."""
GRACE_SECONDS = 0.5
"""How long a model that others wait for stays without a request, within its turn: the next one of
the same caller may be on its way, and loading takes longer."""
TURN_REQUESTS = 16
"""How many of those that wait for a model it takes at a time, while another one is waited for."""
LOOK_SECONDS = 0.1
"""Between two looks whether there is room, while somebody waits."""
LONGEST_WAIT_SECONDS = 600.0


def turn_over(state: EngineState, others_since: float) -> bool:
    """Whether a model had its time, since when others have been waited for."""
    if state.status == "loading":
        return False
    return time.monotonic() - max(state.since, others_since) > TURN_SECONDS


class Flight:
    """The requests that a model has in hand. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._last_end = 0.0

    @property
    def is_full(self) -> bool:
        """They are enough for a turn."""
        return self._count >= TURN_REQUESTS

    def begin(self) -> None:
        """One more."""
        self._add(1)

    def end(self) -> None:
        """One less."""
        self._add(-1)
        self._last_end = time.monotonic()

    def counted(self, sink: EventSink) -> EventSink:
        """A sink whose end counts."""

        def take(event: SequenceEvent) -> None:
            if isinstance(event, Terminal):
                self.end()
            sink(event)

        return take

    def may_leave(self, state: EngineState, others_since: float) -> bool:
        """Whether the model, without a request now, gives up its place to one that has been waited
        for."""
        return turn_over(state, others_since) or time.monotonic() - self._last_end > GRACE_SECONDS

    def _add(self, count: int) -> None:
        with self._lock:
            self._count += count


class WaitedFor(Protocol):
    """A model, as the line sees it."""

    @property
    def id(self) -> str: ...

    @property
    def turn_began(self) -> float:
        """When it was last loaded; `time.monotonic()`, 0: never."""


class WaitingRequest:
    """One request that waits; events of the line have the id 0. Thread-safe."""

    def __init__(
        self,
        model: WaitedFor,
        device: str | None,
        owner: str,
        begin: Callable[[Engine], Callable[[], None]],
        sink: EventSink,
    ) -> None:
        """
        Args:
            model: that it waits for.
            device: where the model should run.
            owner: see `GenerationRequest`.
            begin: submits the request; returns what cancels it.
            sink: of the request.
        """
        self.model = model
        self.device = device
        self.owner = owner
        self.since = time.monotonic()
        self.left: Callable[[WaitingRequest], None] = lambda _: None
        """Called when it was cancelled."""
        self._begin = begin
        self._sink = sink
        self._lock = threading.RLock()
        self._cancel: Callable[[], None] | None = None
        self._cancelled = False
        self._over = False
        """It waits no longer."""
        self._place = 0

    def report(self, place: int) -> None:
        """Its place is now this one; 1: the next."""
        with self._lock:
            if not self._over and place != self._place:
                self._place = place
                self._sink(Queued(0, place))

    def begin(self, engine: Engine) -> None:
        """Its turn has come.

        Raises:
            ShuttingDown: the engine takes no more; it goes on waiting.
        """
        with self._lock:
            if self._over:
                return
            self._over = True
        # Not with the lock: the engine has its own, and its thread may call `cancel`.
        try:
            cancel = self._begin(engine)
        except ShuttingDown:
            with self._lock:
                self._over = self._cancelled
                if self._cancelled:
                    self._sink(cancelled(0))
            raise
        except ApplianceError as ex:
            self._sink(Failed(0, ex.code, ex.message, ex.param))
            return
        with self._lock:
            self._cancel = cancel
            late = self._cancelled
        if late:
            cancel()

    def fail(self, error: ApplianceError) -> None:
        """It ends with an error."""
        with self._lock:
            if not self._over:
                self._over = True
                self._sink(Failed(0, error.code, error.message, error.param))

    def cancel(self) -> None:
        """End the request, whether it still waits or not."""
        with self._lock:
            self._cancelled = True
            cancel = self._cancel
            waited = not self._over
            if waited:
                self._over = True
                self._sink(cancelled(0))
        if waited:
            self.left(self)
        elif cancel:
            cancel()


class WaitingLine:
    """All that wait, and the thread that places them. Thread-safe."""

    def __init__(
        self,
        place: Callable[[WaitingRequest], Engine | None],
        goes_on: Callable[[WaitedFor], bool | None],
        *,
        most: int,
    ) -> None:
        """
        Args:
            place: the engine for a request, loaded if there is room; None: there is none yet.
                Raises ApplianceError if there will be none.
            goes_on: whether a model takes further requests; None: it is not loaded.
            most: requests that may wait, see `fair_queue.is_full`.
        """
        self._place = place
        self._goes_on = goes_on
        self._most = most
        self._tickets: FairQueue[WaitingRequest] = FairQueue()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._tickets)

    def waits_for(self, model: WaitedFor) -> bool:
        """Whether a request waits for that model."""
        with self._changed:
            return any(ticket.model is model for ticket in self._tickets)

    def since(self, *, but: WaitedFor) -> float | None:
        """Since when another model has been waited for; None: none is."""
        with self._changed:
            return min((it.since for it in self._tickets if it.model is not but), default=None)

    def join(self, ticket: WaitingRequest) -> None:
        """A request begins to wait.

        Raises:
            QueueFull: too many do.
            ShuttingDown: the appliance is stopping.
        """
        with self._changed:
            if self._closing:
                raise ShuttingDown
            if is_full([other.owner for other in self._tickets], ticket.owner, self._most):
                raise QueueFull(
                    f"other models are at work, and {len(self._tickets)} requests wait for theirs"
                )
            ticket.left = self._leave
            self._tickets.add(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="line", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """All that wait fail."""
        with self._changed:
            self._closing = True
            tickets = list(self._tickets)
            self._changed.notify_all()
            thread = self._thread
        for ticket in tickets:
            ticket.fail(ShuttingDown())
        if thread:
            thread.join()
        for ticket in tickets:  # one may have been at its turn
            ticket.fail(ShuttingDown())

    def _leave(self, ticket: WaitingRequest) -> None:
        with self._changed:
            if ticket in self._tickets:
                self._tickets.remove(ticket)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or len(self._tickets))
                if self._closing:
                    return
            try:
                self._serve()
            except Exception:
                log.exception("the line of waiting requests is stuck")
            with self._changed:
                self._changed.wait_for(lambda: self._closing, LOOK_SECONDS)

    def _serve(self) -> None:
        """Place those whose turn it is, and report the others' places."""
        for ticket in self._in_order():
            if time.monotonic() - ticket.since > LONGEST_WAIT_SECONDS:
                self._leave(ticket)
                ticket.fail(
                    Unavailable(
                        f"{ticket.model.id} waited for other models for"
                        f" {LONGEST_WAIT_SECONDS:.0f} seconds"
                    )
                )
        for ticket in self._in_order():
            loaded = self._goes_on(ticket.model)
            if loaded is False or not (self._begin(ticket) or loaded):
                break
        for place, ticket in enumerate(self._in_order(), 1):
            ticket.report(place)

    def _begin(self, ticket: WaitingRequest) -> bool:
        """Whether a request waits no longer."""
        try:
            engine = self._place(ticket)
            if engine is None:
                return False
            ticket.begin(engine)
        except ShuttingDown:
            return False
        except ApplianceError as ex:
            ticket.fail(ex)
        with self._changed:
            if ticket in self._tickets:
                self._tickets.served(ticket)
        return True

    def _in_order(self) -> list[WaitingRequest]:
        """First those of loaded models that go on; then of others, and last of those that don't."""
        with self._changed:
            tickets = list(self._tickets)
        ranks: dict[int, tuple[int, float]] = {}
        for ticket in tickets:
            model = ticket.model
            if id(model) not in ranks:
                rank = {True: 0, None: 1, False: 2}[self._goes_on(model)]
                ranks[id(model)] = (rank, model.turn_began)
        return sorted(tickets, key=lambda ticket: ranks[id(ticket.model)])
