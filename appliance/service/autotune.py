"""Tunes models automatically, when no request is waiting for a reply.

The model that comes with the appliance is tuned soon after its first start, others when the machine
has been idle for a while. A request ends a tuning at once; it is restarted later.
"""

import logging
import time
from pathlib import Path
from typing import NamedTuple

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.config.schema import Config
from appliance.engine.base import Engine
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.errors import ApplianceError
from appliance.system.memory import memory
from appliance.system.periodic_thread import PeriodicThread
from appliance.tuning import settings
from appliance.tuning.profile import describe, profile_for
from appliance.tuning.tune import TuningStopped, tune

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""From one look at the pool to the next."""
ATTEMPTS = 5
"""Tunings of one model that may be cut short, until the next start."""
BACK_OFF = 4
"""Each attempt waits that many times as long as the one before."""


class TuningBudget(NamedTuple):
    """How a model is tuned."""

    idle_seconds: float
    """Seconds without requests before it begins."""
    seconds: float
    """Seconds that it takes."""


EMBEDDED, OTHERS = TuningBudget(2.0, 20.0), TuningBudget(60.0, 240.0)


class Autotuner:
    """A thread that looks for something to tune."""

    def __init__(self, config: Config, pool: Pool) -> None:
        """Nothing is done before `start`."""
        self._pool = pool
        self._on = config.engine.tune
        self._attempts: dict[Path, int] = {}
        self._settled: dict[str, Engine] = {}
        """Models for which there is nothing to do as long as they run in that engine."""
        self._busy = 0.0
        """When something was last at work, tuning included; `time.monotonic()`."""
        self._thread = PeriodicThread("tuning", self._look, seconds=LOOK_SECONDS)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._busy = time.monotonic()
        if self._on:
            self._thread.start()

    def close(self) -> None:
        """End what runs."""
        self._thread.close()

    # -- the thread --------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._pool.busy:
            self._busy = time.monotonic()
            return
        for model in self._pool.models():
            engine = model.engine
            if engine is None or self._settled.get(model.id) is engine:
                continue
            if time.monotonic() - self._busy > EMBEDDED.idle_seconds and self._consider(model):
                self._settled[model.id] = engine

    def _consider(self, model: ServedModel) -> bool:
        """Tune a loaded model, if nothing is known of it yet; whether that is settled now."""
        state = model.state
        if state.status != "ready":
            return False
        if state.model and state.model.unproven:
            return False  # it is about to leave the processor
        if state.model and state.model.n_gpu_layers:
            return True
        try:
            file = model.spec.file()
            if file is None:
                return True
            budget = EMBEDDED if file == paths.embedded_model() else OTHERS
            # What was interrupted once may well be again: each attempt waits longer than the last.
            wanted_idle = budget.idle_seconds * BACK_OFF ** self._attempts.get(file, 0)
            if time.monotonic() - self._busy < wanted_idle:
                return False
            variant = state.model.variant if state.model else ""
            known = profile_for(file, settings.folder())
            if known and known.variant == variant and (known.faster or known.complete):
                return True
            return self._tune(model, file, budget.seconds, variant)
        except (ApplianceError, OSError) as ex:
            log.warning("%s could not be tuned: %s", model.id, ex)
            return True

    def _tune(self, model: ServedModel, file: Path, seconds: float, variant: str) -> bool:
        """Whether it came to an end, or is not to be tried again before the next start."""
        self._attempts[file] = self._attempts.get(file, 0) + 1
        try:
            profile = tune(
                file,
                settings.folder(),
                budget_seconds=seconds,
                progress=lambda line: log.debug("tuning %s: %s", model.id, line),
                command=paths.tuner_command(),
                environment=worker_environment(),
                variant=variant,
                memory_bytes=memory().available,
                stop=lambda: self._pool.busy or self._thread.stopping,
            )
        except TuningStopped:
            return self._attempts[file] >= ATTEMPTS
        finally:
            self._busy = time.monotonic()
        if profile.faster:
            log.info("%s runs faster with %s", model.id, describe(profile.best.setting))
            if self._pool.unload_idle(model):
                model.load()
        elif profile.complete:
            log.info("%s runs fastest as it is", model.id)
        else:
            log.info("%s: other programs were busy, so nothing was found out", model.id)
            return self._attempts[file] >= ATTEMPTS
        return True
