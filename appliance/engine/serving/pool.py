"""The available models: loaded on demand, kept while there is room.

Each loaded model has an engine of its own. When memory is short, the engine used longest ago is
closed, never one with requests in flight: who wants another model then waits in line.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable

from appliance.engine.base import (
    Engine,
    ModelSpec,
    Observer,
    refusal_observed,
    unobserved,
)
from appliance.engine.device_routing import KnownDevices
from appliance.engine.protocol import AssessedDevice, Begun, EventSink
from appliance.engine.serving.low_priority import LowPriorityQueue
from appliance.engine.serving.model_lifecycle import ModelLifecycle
from appliance.engine.serving.model_names import Aliases, default_of, named
from appliance.engine.serving.waiting_line import (
    WaitedFor,
    WaitingLine,
    WaitingRequest,
    turn_over,
)
from appliance.engine.types import (
    EmbedRequest,
    GenerationRequest,
    TextRequest,
    with_common_system,
    with_system,
)
from appliance.errors import ModelLoadFailed, ModelNotFound, ShuttingDown, Unavailable
from appliance.system.units import format_bytes

log = logging.getLogger(__name__)

JANITOR_SECONDS = 1.0
"""Between two checks for idle engines."""


class ServedModel(ModelLifecycle):
    """One model on offer. Thread-safe."""

    def __init__(self, spec: ModelSpec, pool: "Pool") -> None:
        super().__init__(spec)
        self._pool = pool

    def submit(
        self, request: GenerationRequest, sink: EventSink, begun: Begun | None = None
    ) -> Callable[[], None]:
        """Have a prompt completed, loading the model first if need be. Returns what cancels it.

        `begun`: see `Engine.submit`. `Accepted` warns if it runs on another device than requested.

        Raises:
            ApplianceError: nothing was submitted.
        """
        request = with_system(request, self.spec.system)
        request = with_common_system(request, self._pool.common_prompt)
        observed = self._pool.observer(self.id, request, sink)
        with refusal_observed(observed):
            take = self.routing.with_device_warning(observed, request.device)

            def start(sink: EventSink, begun: Begun | None) -> Callable[[], None]:
                return self._place(lambda it, to: it.submit(request, to, begun), sink, request)

            return self._pool.low_priority.submit(start, take, begun, lambda: bool(self.engine))

    def embed(self, request: EmbedRequest | TextRequest, sink: EventSink) -> Callable[[], None]:
        """Have vectors made of the inputs, like `submit`."""
        take = self.routing.with_device_warning(sink, request.device)

        def start(sink: EventSink, _begun: Begun | None) -> Callable[[], None]:
            return self._place(lambda engine, to: engine.embed(request, to), sink, request)

        return self._pool.low_priority.submit(
            start, take, None, lambda: bool(self.engine), text=False
        )

    def _place(
        self,
        submit: Callable[[Engine, EventSink], int],
        sink: EventSink,
        request: GenerationRequest | EmbedRequest | TextRequest,
    ) -> Callable[[], None]:
        take = self.flight.counted(sink)

        def begin(engine: Engine) -> Callable[[], None]:
            self.flight.begin()
            try:
                id = submit(engine, take)
            except BaseException:
                self.flight.end()
                raise
            self.last_used = time.monotonic()
            return lambda: engine.cancel(id)

        while True:
            engine = self._pool.engine_for(self, request.device)
            if engine is None:
                ticket = WaitingRequest(self, request.device, request.owner, begin, sink)
                self._pool.line.join(ticket)
                return ticket.cancel
            try:
                return begin(engine)
            except ShuttingDown:
                if self._pool.closing:
                    raise
                self._pool.wait_closed()  # it was unloaded between the two lines

    def load(self) -> None:
        """Begin to load it; returns when that is under way.

        Raises:
            ModelLoadFailed, Unavailable: there is no room.
        """
        self._pool.engine_of(self)

    def unload(self) -> None:
        """Free its memory; requests in flight fail."""
        self._pool.unload(self)


class Pool:
    """All models on offer. The first one is the default."""

    def __init__(
        self,
        specs: Iterable[ModelSpec],
        *,
        free_memory: Callable[[], int],
        keep_alive_seconds: float,
        max_loaded: int,
        max_waiting: int = 64,
        observer: Observer = unobserved,
        common_prompt: Callable[[], str | None] = lambda: None,
    ) -> None:
        """
        Args:
            specs: at least one.
            free_memory: bytes that could be had now.
            keep_alive_seconds: an engine idle for longer is closed; 0: never.
            max_loaded: engines at a time; 0: as many as memory holds.
            max_waiting: requests that may wait for a model that there is no room for.
            observer: sees every request and its events.
            common_prompt: the system prompt that an administrator shares with everybody, if any.
        """
        self._models = [ServedModel(spec, self) for spec in specs]
        """Never changed, but replaced, with `_changing` held."""
        self._seen = KnownDevices()
        self.aliases = Aliases()
        """Of models, by the configuration."""
        self.on_missing: Callable[[str], str | None] = lambda _: None
        """Called before a name is refused as unknown: it may call `add`, or return why what is
        called so is not on offer."""
        self._free_memory = free_memory
        self._keep_alive = keep_alive_seconds
        self._max_loaded = max_loaded
        self.observer = observer
        self.common_prompt = common_prompt
        self._changing = threading.Lock()
        """Held while engines come and go, which takes seconds."""
        self.line = WaitingLine(self._engine_in_turn, self._goes_on, most=max_waiting)
        self.low_priority = LowPriorityQueue()
        self._leaving: ServedModel | None = None
        """Loaded, and the next to give up its place to one that is waited for."""
        self._closing = threading.Event()
        self._janitor = threading.Thread(target=self._maintain, name="models", daemon=True)

    @property
    def closing(self) -> bool:
        """`close` was called."""
        return self._closing.is_set()

    def models(self) -> list[ServedModel]:
        """All of them, the default first."""
        return list(self._models)

    def devices(self) -> list[AssessedDevice]:
        """What this machine can compute with; none before a model was loaded."""
        return self._seen.now(model.state.model for model in self._models)

    def find(self, name: str | None) -> ServedModel:
        """The model with that id or name; None: the default.

        Raises:
            ModelNotFound: there is none, or it is not on offer; `param` is `model`.
        """
        if name is None:
            return default_of(self._models)
        found = named(self._models, name, self.aliases)
        if found is None:
            why = self.on_missing(name)
            found = named(self._models, name, self.aliases)
            if found is None and why:
                raise ModelNotFound(f"{name!r} is not on offer: {why}", param="model")
        if found is not None:
            return found
        known = ", ".join(model.id for model in self._models)
        raise ModelNotFound(f"there is no model {name!r}; there are: {known}", param="model")

    def add(self, specs: Iterable[ModelSpec]) -> None:
        """More models on offer, after those that are there; an id that is taken is passed over."""
        with self._changing:
            taken = {model.id for model in self._models}
            new = [ServedModel(spec, self) for spec in specs if spec.id not in taken]
            self._models = [*self._models, *new]

    def remove(self, ids: Iterable[str]) -> None:
        """Models that are on offer no longer; requests in flight fail. The default stays."""
        gone = set(ids)
        with self._changing:
            leaving = [model for model in self._models[1:] if model.id in gone]
            self._models = [model for model in self._models if model not in leaving]
            for model in leaving:
                self._close(model)

    def clear_failure(self, ids: Iterable[str]) -> None:
        """What kept these models from being loaded may be gone."""
        for id in ids:
            for model in self._models:
                if (
                    model.id == id and model.prewarm_retry
                ):  # then it is tried in a moment, and is what it was
                    model.prewarm_retry = (0.0, model.prewarm_retry[1])
                elif model.id == id:
                    model.load_refused = None

    def start(self) -> None:
        """Begin to load what is to be warm; returns at once."""
        self._janitor.start()

    def engine_of(
        self, model: ServedModel, device: str | None = None, *, reload: bool = False
    ) -> Engine:
        """The same as `engine_for`, for whoever does not wait.

        Raises:
            Unavailable: other models are busy in its place, or waited for.
        """
        engine = self.engine_for(model, device, reload=reload)
        if engine is None:
            raise Unavailable(
                f"other models are at work; {model.id} can be loaded when one is done"
            )
        return engine

    def engine_for(
        self, model: ServedModel, device: str | None = None, *, reload: bool = False
    ) -> Engine | None:
        """The model's engine, started if it was not, or moved to another device. A device that is
        requested by name is tried, even if it failed before, unless this is a `reload`.

        Returns:
            None: it has to wait in line, since other models are busy in its place or were waited
                for before.

        Raises:
            ModelLoadFailed: it cannot be loaded; the message has the figures.
            ModelNotFound: it was removed.
            ShuttingDown: the appliance is stopping.
        """
        if len(self.line) and (
            self.line.waits_for(model) or not self._goes_on(model) or model.flight.is_full
        ):
            return None
        return self._engine(model, device, reload=reload)

    def _engine(
        self,
        model: ServedModel,
        device: str | None,
        *,
        reload: bool = False,
        waits_since: float | None = None,
    ) -> Engine | None:
        engine = model.engine
        if engine is not None and not model.must_replace(engine, device):
            return engine
        with self._changing:
            if self._closing.is_set():
                raise ShuttingDown("the appliance is shutting down")
            if model not in self._models:
                raise ModelNotFound(f"{model.id} is on offer no longer", param="model")
            if model.engine is not None and not model.must_replace(model.engine, device):
                return model.engine
            if model.engine is not None:
                self._close(model)
            if not self._make_room_for(model, waits_since):
                return None
            on_device = model.spec.on_device
            requested = model.routing.begin_load(device if on_device else None)
            if requested and not reload:
                model.spec.excluded.clear()
            model.stamp, model.file_changed = model.spec.stamp(), False
            engine = on_device(requested) if on_device and requested else model.spec.make()
            engine.start()
            model.last_used = model.turn_began = time.monotonic()
            model.engine, model.load_refused, model.prewarm_retry = engine, None, None
            return engine

    def unload(self, model: ServedModel) -> None:
        """Close the model's engine, if it has one."""
        model.prewarm_retry = None  # who unloads it does not want it back
        with self._changing:
            self._close(model)

    def unload_idle(self, model: ServedModel) -> bool:
        """Close the model's engine, if it has one without requests in flight; whether it did."""
        with self._changing:
            if model.engine is None or not model.engine.retire():
                return False
            self._close(model)
            return True

    def reload_idle(self, model: ServedModel, engine: Engine) -> None:
        """Load the model again where it was to run, if it has this engine and no requests in
        flight.

        Raises:
            ApplianceError: it is unloaded, and there is no room for it any more.
        """
        device = model.routing.loaded_for
        with self._changing:
            if model.engine is not engine or not engine.retire():
                return
            self._close(model)
        self.engine_of(model, device, reload=True)

    def wait_closed(self) -> None:
        """Wait until engines that are being closed are gone."""
        with self._changing:
            return

    @property
    def busy(self) -> bool:
        """Some model has requests in flight, is being loaded, or waited for."""
        engines = [model.engine for model in self._models]
        return len(self.line) > 0 or any(
            e and (e.busy or e.state.status == "loading") for e in engines
        )

    def forget(self, session: str) -> None:
        """A session was deleted: no model keeps anything of it."""
        for model in self._models:
            engine = model.engine
            if engine:
                engine.forget(session)

    def close(self) -> None:
        """Close all engines, all at a time; nothing is loaded any more."""
        self._closing.set()
        self.low_priority.close()
        self.line.close()
        if self._janitor.ident is not None:
            self._janitor.join()
        with self._changing:
            closers = [
                threading.Thread(target=self._close, args=(model,), name=f"close {model.id}")
                for model in self._models
            ]
            for closer in closers:
                closer.start()
            for closer in closers:
                closer.join()

    # -- room; `_changing` is held -----------------------------------------------------------------

    def _make_room_for(self, model: ServedModel, waits_since: float | None) -> bool:
        """Whether there is room for a model; `waits_since`: of one that waits in line."""
        try:
            need = model.spec.need()
            while not self._has_room(need):
                victim = self._victim(waits_since)
                if victim is None:
                    self._refuse(model, need)
                    return False
                if victim.engine and victim.engine.retire():
                    log.info("%s is unloaded to make room for %s", victim.id, model.id)
                    self._close(victim)
        except ModelLoadFailed as ex:
            model.load_refused = (time.monotonic(), ex)
            raise
        return True

    def _has_room(self, need: int) -> bool:
        loaded = sum(model.engine is not None for model in self._models)
        if self._max_loaded and loaded >= self._max_loaded:
            return False
        return need <= self._free_memory()

    def _victim(self, waits_since: float | None) -> ServedModel | None:
        idle = [
            model
            for model in self._models
            if model.engine
            and not model.engine.busy
            and (waits_since is None or model.flight.may_leave(model.engine.state, waits_since))
        ]
        return min(idle, key=lambda model: model.last_used, default=None)

    def _refuse(self, model: ServedModel, need: int) -> None:
        """
        Raises:
            ModelLoadFailed: not even the others' place would do.
        """
        if any(other.engine for other in self._models):
            return
        free = self._free_memory()
        raise ModelLoadFailed(
            f"{model.id} needs {format_bytes(need, 'GB')} of memory, and"
            f" {format_bytes(free, 'GB')} are free"
        )

    def _close(self, model: ServedModel) -> None:
        self.devices()
        model.close_engine()

    # -- the line's thread -------------------------------------------------------------------------

    def _engine_in_turn(self, ticket: WaitingRequest) -> Engine | None:
        """The engine for a request that waits, if it can have one now."""
        model = ticket.model
        assert isinstance(model, ServedModel)
        others_since = self.line.since(but=model)
        if model.engine and others_since is not None and model.flight.is_full:
            return None
        engine = self._engine(model, ticket.device, waits_since=ticket.since)
        if engine is None:
            loaded = [it for it in self._models if it.engine and it is not model]
            self._leaving = min(loaded, key=lambda it: it.turn_began, default=None)
        elif self._leaving is model or others_since is None:
            self._leaving = None
        return engine

    def _goes_on(self, model: WaitedFor) -> bool | None:
        """Whether a model takes further requests although others are waited for; None: it is not
        loaded."""
        assert isinstance(model, ServedModel)
        engine = model.engine
        if engine is None:
            return None
        since = self.line.since(but=model)
        return since is None or model is not self._leaving or not turn_over(engine.state, since)

    # -- the janitor's thread ----------------------------------------------------------------------

    def _maintain(self) -> None:
        for model in self._models:
            if model.spec.prewarm:
                self._prewarm(model)
        while not self._closing.wait(JANITOR_SECONDS):
            self._close_idle()
            for model in self._models:
                if model.spec.prewarm and model.may_prewarm():
                    self._prewarm(model)

    def _prewarm(self, model: ServedModel) -> None:
        why = model.prewarm_retry[1] if model.prewarm_retry else ""
        try:
            model.load()
        except ShuttingDown:
            return
        except (ModelLoadFailed, Unavailable) as ex:
            if ex.message != why:
                log.error("%s cannot be loaded: %s", model.id, ex)
            model.prewarm_refused(ex.message)
            meanwhile = default_of(self._models)
            if meanwhile is not model and meanwhile.spec.stands_in:
                self._prewarm(meanwhile)

    def keeps(self, model: ServedModel) -> float:
        """Seconds without a request after which a model is unloaded; infinite: never."""
        return (self._keep_alive or math.inf) if model.keep_alive is None else model.keep_alive

    def _close_idle(self) -> None:
        now = time.monotonic()
        for model in self._models:
            engine = model.engine
            if engine is None or engine.state.status != "ready":
                continue
            if engine.busy:
                model.last_used = now
            idle = now - max(model.last_used, engine.state.since)
            if idle > self.keeps(model) and self.unload_idle(model):
                log.info("%s was idle for %.0f s and is unloaded", model.id, idle)
