"""The life of one model on offer: its engine, and when it is replaced, retried and closed."""

import logging
import threading
import time

from appliance.engine.base import Engine, EngineState, ModelSpec
from appliance.engine.counters import Counters
from appliance.engine.device_routing import DeviceRouting
from appliance.engine.serving.waiting_line import Flight
from appliance.errors import ModelLoadFailed

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""From one look at the files of a loaded model to the next."""
RETRY_FAILED_SECONDS = 5.0
"""How long a failed load stands before the next request tries again, unless its file changed."""
LONGEST_RETRY_SECONDS = 300.0
"""A model to be prewarmed is retried without a request, after pauses that double up to this."""
UNLOADED = EngineState(status="unloaded")


class ModelLifecycle:
    """A model's engine, and when it was used, loaded and refused. Thread-safe."""

    def __init__(self, spec: ModelSpec) -> None:
        self.id = spec.id
        self.name = spec.name
        self.spec = spec
        self.engine: Engine | None = None
        """Set by the pool."""
        self.last_used = 0.0
        self.turn_began = 0.0
        """When it was last loaded; `time.monotonic()`, 0: never."""
        self.flight = Flight()
        self.keep_alive: float | None = None
        """Seconds without a request after which it is unloaded; None: as all models."""
        self.was_loaded = False
        """It was loaded once, so that it can be again."""
        self.routing = DeviceRouting(spec.id, lambda: self.state.model)
        self.load_refused: tuple[float, ModelLoadFailed] | None = None
        """When and why no load was even tried."""
        self.stamp: object = None
        """The state of its file when its engine was started."""
        self.next_look = 0.0
        """When its files are looked at again."""
        self.file_changed = False
        """They are others than those that its engine loaded."""
        self.prewarm_retry: tuple[float, str] | None = None
        """It is to be prewarmed and could not be loaded: when to retry, and why it could not."""
        self.failed_prewarms = 0
        """Engines that were started to prewarm it, and failed since one was ready."""
        self.past = Counters()
        """What its former engines did."""
        self.closing_engine: Engine | None = None
        """An engine that is being closed and still counts."""
        self._counting = threading.Lock()
        """Held while a closed engine's counters are added to the past ones: they count once."""

    @property
    def state(self) -> EngineState:
        """A snapshot."""
        engine, refused = self.engine, self.load_refused
        if engine:
            return engine.state
        if refused:
            return EngineState(status="failed", detail=refused[1].message)
        return UNLOADED

    @property
    def counters(self) -> Counters:
        """Since the service started, all its engines together."""
        with self._counting:
            engines = [engine for engine in (self.closing_engine, self.engine) if engine]
            return sum((engine.counters for engine in engines), self.past)

    @property
    def ready(self) -> bool:
        """A request will be answered: it is loaded, or was unloaded to make room, and its workers
        live."""
        status = self.state.status
        return (status == "ready" and not self.state.trouble) or (
            status == "unloaded" and self.was_loaded
        )

    def must_replace(self, engine: Engine, device: str | None) -> bool:
        """Whether another engine is to take this one's place: it failed long ago, or is idle
        elsewhere than on `device`."""
        if self.routing.should_move(device) and not engine.busy:
            return True
        status = engine.state.status
        if status == "ready" and self._was_changed():
            # What is mapped into memory changes with the file: whatever is computed now is wrong.
            return True
        return status == "failed" and self.may_recover(engine, RETRY_FAILED_SECONDS)

    def may_recover(self, engine: Engine, pause: float) -> bool:
        """Whether what failed may load now: its file has changed, or so many seconds passed."""
        state = engine.state
        late = not state.quarantined and time.monotonic() - state.since > pause
        return late or self.spec.stamp() != self.stamp

    def prewarm_refused(self, why: str) -> None:
        """It was to be prewarmed, and could not even be started: retry in a while."""
        self.prewarm_retry = (time.monotonic() + RETRY_FAILED_SECONDS, why)

    def may_prewarm(self) -> bool:
        """Whether to retry now to load a model that is to be prewarmed: no request may come for it,
        since it is reported as not ready."""
        engine = self.engine
        if engine is None:
            return self.prewarm_retry is not None and time.monotonic() >= self.prewarm_retry[0]
        status = engine.state.status
        if status == "ready":
            self.failed_prewarms = 0
        pause = min(RETRY_FAILED_SECONDS * 2**self.failed_prewarms, LONGEST_RETRY_SECONDS)
        again = status == "failed" and self.may_recover(engine, pause)
        self.failed_prewarms += again
        return again

    def close_engine(self) -> None:
        """Close its engine, if it has one; what that counted stays counted."""
        with self._counting:
            engine = self.closing_engine = self.engine
            self.engine = None
        if engine:
            self.was_loaded = self.was_loaded or engine.state.status == "ready"
            engine.close()
            with self._counting:
                self.past += engine.counters.past()
                self.closing_engine = None

    def _was_changed(self) -> bool:
        """Whether its files are others than those that were loaded; looked at now and then."""
        now = time.monotonic()
        if not self.file_changed and now >= self.next_look and self.stamp is not None:
            self.next_look = now + LOOK_SECONDS
            self.file_changed = not self.spec.is_same(self.stamp)
            if self.file_changed:
                log.warning("the file of %s was changed, and is loaded again", self.id)
        return self.file_changed
