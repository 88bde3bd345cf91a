"""All responses that are being generated, and how they are stored as they grow.

A response is stored before its client gets the last event: one that a client knows to be complete
can be continued. One that is streamed, or generated in the background, is stored when it begins,
and what is new of it twice a second; after a kill, the next start goes on with it from there.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from itertools import chain

import msgspec

from appliance.api.dialects.responses.recorder import LOG, Plan, Recorder
from appliance.api.dialects.responses.schemas import ResponseObject
from appliance.api.generation.request import Generation
from appliance.engine.protocol import (
    Accepted,
    EventSink,
    Failed,
    SequenceEvent,
    Terminal,
    cancelled,
)
from appliance.engine.serving.pool import Pool
from appliance.errors import ApplianceError, ModelNotFound, ShuttingDown, StoreError, Unavailable
from appliance.store.callers.responses import (
    LogPiece,
    OwnedResponse,
    ResponseBook,
    StoredResponse,
)

log = logging.getLogger(__name__)

STORE_SECONDS = 0.5
"""Between two writes of growing responses."""
LONGEST_WAIT_SECONDS = 600.0
"""How long a response that is to go on may wait for its model."""
CANCEL_SECONDS = 10.0
"""How long the end of one that was cancelled may take: the step that the model is at, above all."""


class Recorders:
    """Any thread may call."""

    def __init__(self, book: ResponseBook, pool: Pool) -> None:
        self.book = book
        self._pool = pool
        self._live: dict[str, Recorder] = {}
        self._lock = threading.Lock()
        self._storing = threading.Lock()
        """Held while one is stored or deleted: what is deleted is not stored again."""
        self._unsaved: list[Recorder] = []
        """They have ended, and the disk was full."""
        self._to_go_on: list[tuple[float, Recorder]] = []
        """Responses of before the start that no model has yet, and since when."""
        # The engine's thread does not wait for the disk.
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Go on with what the last end of the appliance interrupted."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="responses", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Store what there is. The engines are closed by then."""
        self._jobs.put(None)
        if self._thread:
            self._thread.join()

    def follow(self, recorder: Recorder) -> Callable[[EventSink], EventSink]:
        """What goes between the engine and a client's sink."""
        self.start()
        attempt = recorder.attempt
        written_by = recorder.fingerprint()

        def through(sink: EventSink) -> EventSink:
            if recorder.head.store:
                with self._lock:
                    self._live[recorder.id] = recorder
                self._jobs.put(lambda: None)  # from now on, it grows

            def see(event: SequenceEvent) -> None:
                if attempt != recorder.attempt:
                    return
                if isinstance(event, Accepted) and written_by not in (None, event.fingerprint):
                    recorder.begin_anew()
                    self._jobs.put(lambda: self._begin_anew(recorder))
                    return
                recorder.see(event)
                if not isinstance(event, Terminal) or not recorder.head.store:
                    sink(event)
                elif recorder.begun or recorder.row:
                    self._jobs.put(lambda: self._finish(recorder, sink, event))
                else:
                    self.forget(recorder)
                    sink(event)

            return see

        return through

    def find(self, owner: str, id: str) -> Recorder | None:
        """A response of `owner` that is being generated."""
        with self._lock:
            found = self._live.get(id)
        return found if found and found.owner == owner else None

    def forget(self, recorder: Recorder) -> None:
        """It has ended, or was refused, and there will be no event."""
        with self._ended:
            self._live.pop(recorder.id, None)
            self._ended.notify_all()

    def begin(self, recorder: Recorder) -> None:
        """Store a response that was accepted, so that it outlives the appliance; one that has ended
        meanwhile is stored by its end.

        Raises:
            StoreError, StoreFull: the database failed.
        """
        with self._storing:
            if not recorder.deleted and not _has_ended(recorder):
                self.book.begin(recorder.owner, recorder.stored(under_way=True))
                recorder.row = True

    def cancel(self, recorder: Recorder) -> None:
        """End a response, and wait until it has, for ten seconds at most."""
        recorder.cancelled = True
        recorder.cancel()
        with self._ended:
            self._ended.wait_for(lambda: recorder.id not in self._live, CANCEL_SECONDS)

    def delete(self, owner: str, id: str) -> bool:
        """End a response, and delete what is stored of it; whether there was one.

        Raises:
            StoreError, StoreFull: the database failed.
        """
        live = self.find(owner, id)
        with self._storing:
            if live:
                live.deleted = live.cancelled = True
            found = self.book.delete(owner, id)
        if live:
            live.cancel()
        return found or live is not None

    # -- the writer's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._find_interrupted()
        except StoreError as ex:
            log.error("responses that were interrupted cannot be read: %s", ex)
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                self._go_on()
                self._grow()
                self._unsaved = [one for one in self._unsaved if not self._keep(one)]
                due = time.monotonic() + STORE_SECONDS
            try:
                job = self._jobs.get(
                    timeout=max(0.0, due - time.monotonic()) if self._live else None
                )
            except queue.Empty:
                continue
            if job is None:
                self._grow()
                for one in self._unsaved:
                    self._keep(one)
                return
            job()

    def _grow(self) -> None:
        with self._lock:
            live = [one for one in self._live.values() if one.row]
        grown = [
            (one, one.attempt, len(one.log))
            for one in live
            if len(one.log) > one.shown and not _has_ended(one)
        ]
        if not grown:
            return
        try:
            self.book.grow(
                {
                    one.id: LogPiece(
                        msgspec.msgpack.encode(one.log[one.shown : length]), not one.shown
                    )
                    for one, _, length in grown
                }
            )
        except StoreError as ex:
            log.error("growing responses could not be stored, which is tried again: %s", ex)
            return
        for one, attempt, length in grown:
            if one.attempt == attempt:
                one.shown = length
            one.wake()

    def _finish(self, recorder: Recorder, sink: EventSink, event: SequenceEvent) -> None:
        failed = event if isinstance(event, Failed) else None
        if failed and failed.code == ShuttingDown.code and recorder.head.background:
            recorder.interrupted()
            self._grow()
            sink(event)
            return
        if not self._keep(recorder):
            if recorder.row:
                self._unsaved = [*self._unsaved, recorder]
            else:
                recorder.not_stored()
                self.forget(recorder)
        sink(event)

    def _keep(self, recorder: Recorder) -> bool:
        """Whether there is nothing left to do for a response that has ended."""
        try:
            with self._storing:
                if not recorder.deleted:
                    self.book.keep(recorder.owner, recorder.stored(under_way=False))
        except StoreError as ex:
            log.error("the response %s is not stored: %s", recorder.id, ex)
            return False
        recorder.shown = len(recorder.log)
        self.forget(recorder)
        recorder.wake()
        return True

    # -- after a start ---------------------------------------------------------------------------

    def _find_interrupted(self) -> None:
        for owned in self.book.under_way():
            try:
                recorder = _recorder_of(owned)
            except msgspec.MsgspecError as ex:
                log.error("the response %s cannot go on: %s", owned.stored.id, ex)
                continue
            with self._lock:
                self._live[recorder.id] = recorder
            self._to_go_on.append((time.monotonic(), recorder))
        if self._to_go_on:
            log.info("%d responses go on that were interrupted", len(self._to_go_on))

    def _go_on(self) -> None:
        """Submit those that no model has, as far as the queue takes them."""
        waiting, self._to_go_on = self._to_go_on, []
        for since, recorder in waiting:
            if recorder.cancelled:
                end = cancelled(0, begun=recorder.so_far())
                recorder.see(end)
                self._finish(recorder, _nobody, end)
                continue
            try:
                self._submit(recorder)
            except ShuttingDown:
                self._to_go_on.append((since, recorder))
            except ApplianceError as ex:
                waits = isinstance(ex, Unavailable | ModelNotFound)
                if waits and time.monotonic() - since < LONGEST_WAIT_SECONDS:
                    self._to_go_on.append((since, recorder))
                    continue
                end_with = Failed(0, ex.code, ex.message, ex.param)
                recorder.see(end_with)
                self._finish(recorder, _nobody, end_with)

    def _submit(self, recorder: Recorder) -> None:
        """
        Raises:
            ApplianceError: its model does not take it.
        """
        model = self._pool.find(recorder.plan.model)
        request = recorder.plan.request
        begun = recorder.so_far()
        if begun and recorder.fingerprint() is None:
            sampling = msgspec.structs.replace(request.sampling, seed=begun.seed)
            request = msgspec.structs.replace(request, sampling=sampling)
            recorder.begin_anew()
            begun = None
        generation = Generation(
            model,
            [request],
            single_tool_call=not recorder.head.parallel_tool_calls,
            through=self.follow(recorder),
            begun=begun,
        )
        recorder.cancel = generation.submit().close
        if recorder.cancelled:
            recorder.cancel()

    def _begin_anew(self, recorder: Recorder) -> None:
        recorder.cancel()
        self._to_go_on.append((time.monotonic(), recorder))


def _recorder_of(owned: OwnedResponse) -> Recorder:
    stored: StoredResponse = owned.stored
    head = msgspec.json.decode(stored.response, type=ResponseObject)
    plan = msgspec.msgpack.decode(stored.plan or b"", type=Plan)
    recorder = Recorder(owned.owner, msgspec.json.decode(stored.input), head, plan)
    recorder.row = True
    pieces = map(LOG.decode, filter(None, (stored.log, *stored.log_pieces)))
    recorder.replay(list(chain.from_iterable(pieces)))
    return recorder


def _has_ended(recorder: Recorder) -> bool:
    return bool(recorder.log) and isinstance(recorder.log[-1], Terminal)


def _nobody(_event: SequenceEvent) -> None:
    """Nobody waits for it."""
