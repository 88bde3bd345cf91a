"""The service's side of a worker: start it, feed it, watch it, restart it.

The supervisor thread starts the worker and reads its events; the watchdog kills a worker that does
not answer any more. Sinks are called on the supervisor thread and must not block.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from appliance.engine.base import EngineState
from appliance.engine.counters import Counters, RequestStats
from appliance.engine.device_routing import ExcludedDevices
from appliance.engine.fair_queue import is_full
from appliance.engine.local.pending_requests import PendingRequest, PendingRequests
from appliance.engine.local.prestart import PrestartedWorker
from appliance.engine.local.restart_policy import BACK_OFF, MAX_DEATHS, RestartPolicy
from appliance.engine.local.worker_process import End, WorkerProcess
from appliance.engine.protocol import (
    Begun,
    Cancel,
    Delta,
    Embed,
    Embedded,
    Event,
    EventSink,
    Failed,
    Finished,
    Forget,
    Generate,
    Load,
    LoadFailed,
    Loading,
    ModelInfo,
    Ping,
    Pong,
    Ready,
    Shutdown,
    TextResult,
    WorkerStats,
)
from appliance.engine.types import EmbedRequest, GenerationRequest, TextRequest
from appliance.errors import ModelLoadFailed, QueueFull, RequestError, ShuttingDown, WorkerDied
from appliance.system.control_groups import oom_kills
from appliance.system.periodic_thread import PeriodicThread

log = logging.getLogger(__name__)

PING_INTERVAL = 1.0
PONG_TIMEOUT = 10.0
"""Seconds without an answer after which a worker with work to do is taken for hung."""
STEP_TIMEOUT = 120.0
"""Seconds of one step; a full batch of a large model on a slow machine stays below."""
READING_TIMEOUT = 120.0
"""Seconds of one piece of work on a request's text: some thousand characters, a chat template or a
grammar, which all have tighter bounds of their own."""
TROUBLE_DEATHS = 2
"""Workers that died one after the other, with no request answered in between: then the next one may
not be answered either."""
SAVE_TIMEOUT = 10.0
"""Seconds that a worker has to save its states at a shutdown."""

Suspect = Callable[[str, str, bool], tuple[str, bool]]
"""Called with the variant of llama.cpp whose code a worker died in, how, and whether it counts
against the variant even if it is seen to compute right. Returns the variant to go on with, and
whether the fault was traced to the old one. It may take seconds."""


class LocalEngine:
    """One model, served by one worker process at a time. Thread-safe."""

    def __init__(
        self,
        name: str,
        load: Load,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        max_waiting: int,
        distrust: Callable[[], None] = lambda: None,
        suspect: Suspect = lambda variant, _reason, _charge: (variant, False),
        excluded: ExcludedDevices | None = None,
        prestarted: PrestartedWorker | None = None,
        pong_timeout: float = PONG_TIMEOUT,
        reading_timeout: float = READING_TIMEOUT,
        max_deaths: int = MAX_DEATHS,
        back_off: Sequence[float] = BACK_OFF,
        oom_kills: Callable[[], int] = oom_kills,
    ) -> None:
        """
        Args:
            command: starts a worker.
            environment: a worker's.
            max_waiting: requests that may wait for it.
            distrust: called when the tuned form of the model could not be loaded.
            suspect: see `Suspect`.
            excluded: devices that are not to be used; the engine adds to them.
            prestarted: a worker that `command` has started, for the first engine that wants one.
            oom_kills: processes that the kernel has ended because memory ran out.
        """
        self.name = name
        self._load = excluded.apply_to(load) if excluded else load
        self._command = list(command)
        self._environment = dict(environment)
        self._max_requests = load.n_seq_max + max_waiting
        self._distrust = distrust
        self._suspect = suspect
        self._excluded = excluded or ExcludedDevices()
        self._prestarted = prestarted
        self._on: tuple[str, ...] | None = None
        """The GPUs that the worker computes on, or loads its model to; None: unknown yet."""
        self._gpus: tuple[str, ...] = ()
        """All that there are, as far as a worker reported."""
        self._hung = ""
        """Why the worker was killed, if it did not answer."""
        self._pong_timeout = pong_timeout
        self._reading_timeout = reading_timeout
        self._max_deaths, self._back_off = max_deaths, back_off
        self._restarts = RestartPolicy(max_deaths, back_off)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._state = EngineState(status="loading")
        self._stats = RequestStats()
        self._requests = PendingRequests(self._stats)
        self._worker: WorkerProcess | None = None
        self._unanswered = 0
        """Workers that died since one came to the end of a request."""
        self._oom_kills, self._oom_killed = oom_kills, 0
        self._fruitful = False
        """The worker wrote something, or came to the end of a request."""
        self._last_pong = 0.0
        self._retired = False
        self._closing = threading.Event()
        self._supervisor = threading.Thread(
            target=self._supervise, name=f"engine {name}", daemon=True
        )
        self._watchdog = PeriodicThread(f"watchdog {name}", self._watch, seconds=PING_INTERVAL)

    # -- what others call ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to load the model; returns at once."""
        self._supervisor.start()
        self._watchdog.start()

    @property
    def state(self) -> EngineState:
        """A snapshot."""
        return self._state

    @property
    def busy(self) -> bool:
        """Requests are in flight."""
        return len(self._requests) > 0

    @property
    def counters(self) -> Counters:
        """What it has done, all its workers together."""
        return self._stats.counters()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, while there is one."""
        worker = self._worker
        return worker.pid if worker else None

    def wait_ready(self, timeout: float) -> bool:
        """Whether the model was ready within `timeout` seconds; False at once when it failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.status != "loading", timeout)
            return self._state.status == "ready"

    def submit(
        self, request: GenerationRequest, sink: EventSink, begun: Begun | None = None
    ) -> int:
        """Have a prompt completed; `sink` gets every event, the last one being terminal.

        `begun`: what an earlier worker wrote of the reply, which goes on from there. While the
        model loads, the request waits for it. Where requests wait, owners take turns.
        Returns the id to cancel by.

        Raises:
            QueueFull, ShuttingDown, ModelLoadFailed: nothing was submitted.
        """
        return self._submit(lambda id: Generate(id, request, begun), request.owner, sink)

    def embed(self, request: EmbedRequest | TextRequest, sink: EventSink) -> int:
        """Have vectors made of the inputs; `sink` gets every event, the last one being terminal:
        `Embedded`, if all goes well. Otherwise like `submit`."""
        return self._submit(lambda id: Embed(id, request), request.owner, sink)

    def _submit(
        self, command: Callable[[int], Generate | Embed], owner: str, sink: EventSink
    ) -> int:
        with self._lock:
            if self._retired or self._state.status == "stopped":
                raise ShuttingDown("the appliance is shutting down")
            if self._state.status == "failed":
                raise ModelLoadFailed(self._state.detail or f"{self.name} could not be loaded")
            if is_full(self._requests.owners(), owner, self._max_requests):
                raise QueueFull(f"{len(self._requests)} requests are waiting for {self.name}")
            id = self._requests.add(command, sink)
        self._send_waiting()
        return id

    def _send_waiting(self) -> None:
        """Send the worker what it is to get now; one that loads gets it when it is ready."""
        with self._lock:
            worker = self._worker if self._state.status == "ready" else None
            commands = self._requests.take_unsent() if worker else []
        for command in commands:
            if worker:
                worker.send(command)

    def cancel(self, id: int) -> None:
        """End a request; its sink gets `Finished`. One that has ended already is no error."""
        if self._requests.cancel(id):
            self._send_waiting()  # others may have waited for it
        elif worker := self._worker:
            worker.send(Cancel(id))

    def forget(self, session: str) -> None:
        """A session was deleted: the worker drops its states."""
        worker = self._worker
        if worker:
            worker.send(Forget(session))

    def retire(self) -> bool:
        """Accept no more requests, unless some are in flight; whether that is so now.

        `close` is still to be called.
        """
        with self._lock:
            self._retired = self._retired or not self._requests
            return self._retired

    def close(self) -> None:
        """End the worker, which saves its states; open requests fail. Returns when it is gone."""
        self._closing.set()
        ready = self._state.status == "ready"
        self._set_state(EngineState(status="stopped"))
        worker = self._worker
        if worker:
            if ready:
                worker.send(Shutdown())
            if not ready or not worker.wait(SAVE_TIMEOUT):
                worker.kill()
        self._watchdog.close()
        self._supervisor.join()

    # -- the supervisor's thread -----------------------------------------------------------------

    def _supervise(self) -> None:
        while not self._closing.is_set():
            try:
                loaded, end = self._run_worker()
            except Exception as ex:
                log.exception("worker of %s could not be run", self.name)
                loaded, end = False, End(f"the worker could not be run: {ex}")
            if self._closing.is_set():
                break
            reason = end.reason
            if self._state.status == "failed":  # the worker itself reported why
                self._give_up(self._state.detail or reason, quarantined=False)
                break
            log.error("worker of %s ended: %s", self.name, reason)
            self._unanswered += loaded
            number = self._state.restarts + 1
            self._set_state(EngineState(status="loading", detail=reason, restarts=number))
            in_hand = self._requests.worker_ended()
            on_gpus = self._leave_gpus(end)
            convicted = self._find_cause(end, in_hand, of_variant=end.native and not on_gpus)
            if on_gpus:
                self._stats.restarted()
                continue
            fruitful = self._fruitful or convicted
            if reason_to_stop := self._restarts.died(reason, loaded=loaded, fruitful=fruitful):
                self._give_up(reason_to_stop, quarantined=not loaded)
                break
            self._stats.restarted()
            self._closing.wait(self._restarts.wait)
        if self._closing.is_set():
            self._requests.fail_all(ShuttingDown("the appliance is shutting down"))

    def _leave_gpus(self, end: End) -> bool:
        """Whether the worker died of a GPU, so that the next one runs on the processor: a driver
        that crashed will crash again, and other drivers for the same GPU may well, too."""
        if not (end.native or self._hung):
            return False
        reason = self._hung or end.reason
        if self._on:
            self._excluded.add({*self._on, *self._gpus}, f"the worker on it died: {reason}")
        elif self._on is None and self._load.variant and not self._load.no_gpus:
            # It died before it loaded anything: looking for GPUs runs the code of drivers.
            self._excluded.exclude_all(f"a worker died that looked for them: {reason}")
        else:
            if self._on is None and self._load.no_gpus:  # so GPUs are not why they die
                self._excluded.clear()
                self._load = self._excluded.apply_to(self._load)
            return False
        self._unanswered = 0
        self._load = self._excluded.apply_to(self._load)
        log.warning("%s goes on without GPUs", self.name)
        return True

    def _find_cause(self, end: End, in_hand: list[PendingRequest], *, of_variant: bool) -> bool:
        """Whether the worker died of one of the requests that it had in hand, which was refused for
        it.

        Of its own doing is what native code's mistakes raise, what the watchdog had to end, and
        what the kernel did for want of memory. Whoever ends a worker from outside blames nobody.
        `of_variant`: llama.cpp's variant may be at fault as well.
        """
        reason = self._hung or end.reason
        starved = end.killed and self._oom_kills() > self._oom_killed
        convicts = False
        if end.native or end.failed or self._hung or starved:
            convicts = self._requests.convicts(in_hand)
            # Whom it counts against twice is the cause, unless the variant is seen to be.
            if (
                of_variant
                and self._load.variant
                and self._try_other_variant(reason, charge=not convicts)
            ):
                convicts = False
            else:
                self._requests.blame(in_hand, reason)
        self._requests.give_up_fruitless(in_hand, reason)
        return convicts

    def _try_other_variant(self, reason: str, *, charge: bool) -> bool:
        """Whether the variant was seen to compute wrong, or to crash."""
        variant, traced = self._suspect(self._load.variant, reason, charge)
        if variant != self._load.variant:
            log.warning("%s goes on with llama.cpp's variant %s", self.name, variant)
            self._load = msgspec.structs.replace(self._load, variant=variant, tuned=None)
            self._restarts = RestartPolicy(self._max_deaths, self._back_off)
        return traced

    def _run_worker(self) -> tuple[bool, End]:
        """One worker's life. Returns whether the model got loaded, and how the worker ended."""
        worker = self._start_worker()
        loaded = False
        problem = ""
        self._on, self._hung, self._fruitful = None, "", False
        self._oom_killed = self._oom_kills()
        try:
            self._worker = worker
            if self._closing.is_set():
                worker.kill()
            trusted = self._load.tuned is None
            for event in worker.events():
                loaded = loaded or isinstance(event, Ready)
                self._on_event(event)
        except ValueError as ex:
            problem = f"it sent something that is not of the protocol ({ex})"
        finally:
            self._worker = None
            ended = worker.close()
            self._stats.worker_ended()
        if not (loaded or trusted or self._closing.is_set()):
            log.warning("%s is loaded from its original file from now on", self.name)
            self._drop_tuned()
        return loaded, End(problem) if problem else ended

    def _start_worker(self) -> WorkerProcess:
        worker = self._prestarted.take(self._load) if self._prestarted else None
        if worker is None:
            worker = WorkerProcess(self.name, self._command, self._environment)
            worker.send(self._load)
        worker.name = self.name
        return worker

    def _drop_tuned(self) -> None:
        self._load = msgspec.structs.replace(self._load, tuned=None)
        self._distrust()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Pong):
            self._last_pong = time.monotonic()
            if event.step_seconds > STEP_TIMEOUT:
                self._kill(f"a step has run for {event.step_seconds:.0f} s")
            elif event.reading_seconds > self._reading_timeout:
                # Not twice: whatever the next worker is, the text will be the same.
                refusal = RequestError("this request's text takes too long to read")
                self._requests.deliver(Failed(event.reading, refusal.code, refusal.message))
                self._kill(f"a text has been read for {event.reading_seconds:.0f} s", refused=True)
        elif isinstance(event, Loading):
            self._on = event.on
            state = msgspec.structs.replace(self._state, progress=event.fraction)
            self._set_state(state)
        elif isinstance(event, Ready):
            self._on_ready(event.model)
        elif isinstance(event, LoadFailed):
            self._set_state(EngineState(status="failed", detail=event.message))
        elif isinstance(event, WorkerStats):
            self._stats.record(event)
        else:
            if self._unanswered and isinstance(event, Finished | Embedded | TextResult):
                self._unanswered = 0
                self._set_state(msgspec.structs.replace(self._state, trouble=None))
            self._fruitful = self._fruitful or isinstance(
                event, Delta | Finished | Embedded | TextResult
            )
            if self._requests.deliver(event):
                self._send_waiting()

    def _on_ready(self, model: ModelInfo) -> None:
        where = " and ".join(model.on) or model.device
        log.info(
            "%s is ready on %s: %s, n_ctx %d", self.name, where, model.description, model.n_ctx
        )
        self._on = model.on
        self._gpus = tuple(it.device.name for it in model.devices if it.device.family != "cpu")
        if model.warning:
            log.warning("%s: %s", self.name, model.warning)
        if model.tuned == "refused":
            self._drop_tuned()
        self._last_pong = time.monotonic()
        ready = EngineState(
            status="ready",
            progress=1.0,
            model=model,
            restarts=self._state.restarts,
            trouble=self._state.detail if self._unanswered >= TROUBLE_DEATHS else None,
        )
        self._set_state(ready)
        self._send_waiting()

    # -- deaths ----------------------------------------------------------------------------------

    def _give_up(self, detail: str, *, quarantined: bool) -> None:
        log.error("%s is given up: %s", self.name, detail)
        restarts = self._state.restarts
        self._set_state(
            EngineState(status="failed", detail=detail, quarantined=quarantined, restarts=restarts)
        )
        begun = WorkerDied(f"the model's worker ended in the middle: {detail}")
        self._requests.fail_all(ModelLoadFailed(detail), begun)

    def _kill(self, why: str, *, refused: bool = False) -> None:
        """`refused`: the request that is to blame is known, and so neither another nor a device."""
        worker = self._worker
        if worker:
            log.error("worker of %s is killed: %s", self.name, why)
            self._hung = "" if refused else why
            worker.kill()

    # -- other threads ---------------------------------------------------------------------------

    def _watch(self) -> None:
        worker = self._worker
        if self._state.status != "ready" or worker is None:
            return
        if not len(self._requests):
            self._last_pong = time.monotonic()
            return
        silent = time.monotonic() - self._last_pong
        if silent > self._pong_timeout:
            self._kill(f"it has not answered for {silent:.0f} s")
        elif worker.can_send(PING_INTERVAL):
            worker.send(Ping())

    def _set_state(self, state: EngineState) -> None:
        with self._lock:
            self._change_state(state)

    def _change_state(self, state: EngineState) -> None:
        if self._state.status != "stopped":
            self._state = state
            self._changed.notify_all()
