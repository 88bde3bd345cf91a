"""The models on offer: loaded when they are needed, kept while there is room.

Each loaded model has an engine of its own. When memory is short, the engine used longest ago gives
way, never one with requests in flight.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from appliance.engine.base import (
    Engine,
    EngineState,
    ModelSpec,
    Observer,
    refusal_observed,
    unobserved,
)
from appliance.engine.counters import Counters
from appliance.engine.device_routing import DeviceRouting, KnownDevices
from appliance.engine.protocol import AssessedDevice, EventSink
from appliance.engine.types import EmbedRequest, GenerationRequest
from appliance.errors import ModelLoadFailed, ModelNotFound, ShuttingDown, Unavailable
from appliance.system.units import format_bytes

log = logging.getLogger(__name__)

RETRY_FAILED_SECONDS = 5.0
"""How long a failed load stands before the next request tries again, unless its file changed."""
LONGEST_RETRY_SECONDS = 300.0
"""What is to be warm is tried by itself, after pauses that double up to this."""
JANITOR_SECONDS = 1.0
"""From one look at idle engines to the next."""
UNLOADED = EngineState(status="unloaded")


class ServedModel:
    """One model on offer. Thread-safe."""

    def __init__(self, spec: ModelSpec, pool: "Pool") -> None:
        self.id = spec.id
        self.name = spec.name
        self.spec = spec
        self._pool = pool
        self.engine: Engine | None = None
        """Set by the pool."""
        self.used = 0.0
        self.proven = False
        """It was loaded once, and can be again."""
        self.routing = DeviceRouting(spec.id, lambda: self.state.model)
        self.refused: tuple[float, ModelLoadFailed] | None = None
        """When and why it was not even tried to load it."""
        self.stamp: object = None
        """Of its file, when its engine was started."""
        self.cold: tuple[float, str] | None = None
        """It is to be warm and could not be loaded: when to try again, and why it could not."""
        self.tries = 0
        """Engines that failed since one was ready, as far as they were started by themselves."""
        self.past = Counters()
        """What its former engines did."""
        self.leaving: Engine | None = None
        """An engine that is being closed and still counts."""

    @property
    def state(self) -> EngineState:
        """A snapshot."""
        engine, refused = self.engine, self.refused
        if engine:
            return engine.state
        if refused:
            return EngineState(status="failed", detail=refused[1].message)
        return UNLOADED

    @property
    def counters(self) -> Counters:
        """What was done with it since the appliance began, all its engines together."""
        with self._pool.counting:
            engines = [engine for engine in (self.leaving, self.engine) if engine]
            return sum((engine.counters for engine in engines), self.past)

    @property
    def ready(self) -> bool:
        """A request will be answered: it is loaded, or was and gave way, and its workers live."""
        status = self.state.status
        return (status == "ready" and not self.state.trouble) or (
            status == "unloaded" and self.proven
        )

    def submit(self, request: GenerationRequest, sink: EventSink) -> Callable[[], None]:
        """Have a prompt completed, loading the model first if need be. Returns what cancels it.

        `Accepted` has a warning if it runs on another device than was asked for.

        Raises:
            ApplianceError: nothing was submitted.
        """
        observed = self._pool.observer(self.id, request, sink)
        with refusal_observed(observed):
            take = self.routing.with_device_warning(observed, request.device)
            return self._ask(lambda engine: engine.submit(request, take), request.device)

    def embed(self, request: EmbedRequest, sink: EventSink) -> Callable[[], None]:
        """Have vectors made of the inputs, like `submit`."""
        take = self.routing.with_device_warning(sink, request.device)
        return self._ask(lambda engine: engine.embed(request, take), request.device)

    def _ask(self, ask: Callable[[Engine], int], device: str | None) -> Callable[[], None]:
        while True:
            engine = self._pool.engine_of(self, device)
            try:
                id = ask(engine)
            except ShuttingDown:
                if self._pool.closing:
                    raise
                self._pool.wait_closed()  # it gave way between the two lines
                continue
            self.used = time.monotonic()
            return lambda: engine.cancel(id)

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
        observer: Observer = unobserved,
    ) -> None:
        """
        Args:
            specs: at least one.
            free_memory: bytes that could be had now.
            keep_alive_seconds: an engine idle for longer is closed; 0: never.
            max_loaded: engines at a time; 0: as many as memory holds.
            observer: sees every request and its events.
        """
        self._models = [ServedModel(spec, self) for spec in specs]
        """Never changed, but replaced, with `_changing` held."""
        self._seen = KnownDevices()
        self.on_missing: Callable[[], object] = lambda: None
        """Called before a name is said to be unknown: it may be that `add` is due."""
        self._free_memory = free_memory
        self._keep_alive = keep_alive_seconds
        self._max_loaded = max_loaded
        self.observer = observer
        self._changing = threading.Lock()
        """Held while engines come and go, which takes seconds."""
        self.counting = threading.Lock()
        """Held while an engine's counters become past: they count once."""
        self._closing = threading.Event()
        self._janitor = threading.Thread(target=self._look_after, name="models", daemon=True)

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
            ModelNotFound: there is none; `param` is `model`.
        """
        if name is None:
            return self._models[0]
        found = self._named(name)
        if found is None:
            self.on_missing()
            found = self._named(name)
        if found is not None:
            return found
        known = ", ".join(model.id for model in self._models)
        raise ModelNotFound(f"there is no model {name!r}; there are: {known}", param="model")

    def _named(self, name: str) -> ServedModel | None:
        models = self._models
        return next((m for m in models if m.id == name), None) or next(
            (m for m in models if m.name == name or name in m.spec.aliases), None
        )

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
        """What kept these models from being loaded may be over."""
        for id in ids:
            for model in self._models:
                if (
                    model.id == id and model.cold
                ):  # then it is tried in a moment, and is what it was
                    model.cold = (0.0, model.cold[1])
                elif model.id == id:
                    model.refused = None

    def start(self) -> None:
        """Begin to load what is to be warm; returns at once."""
        self._janitor.start()

    def engine_of(
        self, model: ServedModel, device: str | None = None, *, again: bool = False
    ) -> Engine:
        """The model's engine, started if it was not, or moved to another device. A device that is
        asked for by name is tried, whatever came of it before, unless this is done `again` by
        itself.

        Raises:
            ModelLoadFailed: it cannot be loaded; the message has the figures.
            ModelNotFound: it was removed.
            Unavailable: other models are busy in its place.
            ShuttingDown: the appliance is stopping.
        """
        engine = model.engine
        if engine is not None and not _must_go(model, engine, device):
            return engine
        with self._changing:
            if self._closing.is_set():
                raise ShuttingDown("the appliance is shutting down")
            if model not in self._models:
                raise ModelNotFound(f"{model.id} is on offer no longer", param="model")
            if model.engine is not None and not _must_go(model, model.engine, device):
                return model.engine
            if model.engine is not None:
                self._close(model)
            self._make_room_for(model)
            on_device = model.spec.on_device
            asked = model.routing.begin_load(device if on_device else None)
            if asked and not again:
                model.spec.excluded.clear()
            model.stamp = model.spec.stamp()
            engine = on_device(asked) if on_device and asked else model.spec.make()
            engine.start()
            model.used = time.monotonic()
            model.engine, model.refused, model.cold = engine, None, None
            return engine

    def unload(self, model: ServedModel) -> None:
        """Close the model's engine, if it has one."""
        model.cold = None  # whoever wants it away does not want it back
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
        self.engine_of(model, device, again=True)

    def wait_closed(self) -> None:
        """Wait until engines that are being closed are gone."""
        with self._changing:
            return

    @property
    def busy(self) -> bool:
        """Some model has requests in flight, or is being loaded."""
        engines = [model.engine for model in self._models]
        return any(e and (e.busy or e.state.status == "loading") for e in engines)

    def forget(self, session: str) -> None:
        """A session was deleted: no model keeps anything of it."""
        for model in self._models:
            engine = model.engine
            if engine:
                engine.forget(session)

    def close(self) -> None:
        """Close all engines, all at a time; nothing is loaded any more."""
        self._closing.set()
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

    def _make_room_for(self, model: ServedModel) -> None:
        try:
            need = model.spec.need()
            while not self._has_room(need):
                victim = self._victim()
                if victim is None:
                    self._refuse(model, need)
                    return
                if victim.engine and victim.engine.retire():
                    log.info("%s gives way to %s", victim.id, model.id)
                    self._close(victim)
        except ModelLoadFailed as ex:
            model.refused = (time.monotonic(), ex)
            raise

    def _has_room(self, need: int) -> bool:
        loaded = sum(model.engine is not None for model in self._models)
        if self._max_loaded and loaded >= self._max_loaded:
            return False
        return need <= self._free_memory()

    def _victim(self) -> ServedModel | None:
        idle = [model for model in self._models if model.engine and not model.engine.busy]
        return min(idle, key=lambda model: model.used, default=None)

    def _refuse(self, model: ServedModel, need: int) -> None:
        if any(other.engine for other in self._models):
            raise Unavailable(
                f"other models are at work; {model.id} can be loaded when one is done"
            )
        free = self._free_memory()
        raise ModelLoadFailed(
            f"{model.id} needs {format_bytes(need, 'GB')} of memory, and"
            f" {format_bytes(free, 'GB')} are free"
        )

    def _close(self, model: ServedModel) -> None:
        self.devices()
        with self.counting:
            engine = model.leaving = model.engine
            model.engine = None
        if engine:
            model.proven = model.proven or engine.state.status == "ready"
            engine.close()
            with self.counting:
                model.past += engine.counters.past()
                model.leaving = None

    # -- the janitor's thread ----------------------------------------------------------------------

    def _look_after(self) -> None:
        for model in self._models:
            if model.spec.prewarm:
                self._warm(model)
        while not self._closing.wait(JANITOR_SECONDS):
            if self._keep_alive:
                self._close_idle()
            for model in self._models:
                if model.spec.prewarm and self._may_warm(model):
                    self._warm(model)

    def _warm(self, model: ServedModel) -> None:
        why = model.cold[1] if model.cold else ""
        try:
            model.load()
        except ShuttingDown:
            return
        except (ModelLoadFailed, Unavailable) as ex:
            if ex.message != why:
                log.error("%s cannot be loaded: %s", model.id, ex)
            model.cold = (time.monotonic() + RETRY_FAILED_SECONDS, ex.message)

    def _may_warm(self, model: ServedModel) -> bool:
        """Whether it is to be tried again to load what is to be warm: nobody may ask for it, since
        it is said not to be ready."""
        engine = model.engine
        if engine is None:
            return model.cold is not None and time.monotonic() >= model.cold[0]
        state = engine.state
        if state.status == "ready":
            model.tries = 0
        pause = min(RETRY_FAILED_SECONDS * 2**model.tries, LONGEST_RETRY_SECONDS)
        again = state.status == "failed" and _mended(model, state, pause)
        model.tries += again
        return again

    def _close_idle(self) -> None:
        now = time.monotonic()
        for model in self._models:
            engine = model.engine
            if engine is None or engine.state.status != "ready":
                continue
            if engine.busy:
                model.used = now
            idle = now - max(model.used, engine.state.since)
            if idle > self._keep_alive and self.unload_idle(model):
                log.info("%s was idle for %.0f s and is unloaded", model.id, idle)


def _must_go(model: ServedModel, engine: Engine, device: str | None) -> bool:
    """Whether another engine is to take its place: it failed long ago, or is elsewhere and idle."""
    state = engine.state
    if model.routing.should_move(device) and not engine.busy:
        return True
    return state.status == "failed" and _mended(model, state, RETRY_FAILED_SECONDS)


def _mended(model: ServedModel, state: EngineState, pause: float) -> bool:
    """Whether what failed may load now: its file is another one, or so much time has passed."""
    late = not state.quarantined and time.monotonic() - state.since > pause
    return late or model.spec.stamp() != model.stamp
