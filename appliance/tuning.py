"""Tunes models by itself, when nobody is waiting for a reply.

The model that comes with the appliance is tuned soon after its first start, others when the machine
has been left in peace for a while. A request ends a tuning at once; it is begun anew later.
"""

import logging
import threading
import time
from pathlib import Path
from typing import NamedTuple

from appliance import paths, tuned
from appliance.config import Config
from appliance.engine.pool import Model, Pool
from appliance.engine.tune import TuningStopped, tune
from appliance.engine.tune_profile import describe, profile_for
from appliance.environment import worker_environment
from appliance.errors import ApplianceError
from appliance.models.memory import memory

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""From one look at the pool to the next; a request waits no longer for the machine."""
ATTEMPTS = 5
"""Tunings of one model that may be cut short, until the next start."""


class Care(NamedTuple):
    """How a model is tuned."""

    peace: float
    """Seconds without requests before it begins."""
    budget: float
    """Seconds that it takes."""


EMBEDDED, OTHERS = Care(2.0, 20.0), Care(60.0, 240.0)


class Tuning:
    """A thread that looks for something to tune."""

    def __init__(self, config: Config, pool: Pool) -> None:
        """Nothing is done before `start`."""
        self._pool = pool
        self._on = config.engine.tune
        self._attempts: dict[Path, int] = {}
        self._done: set[Path] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tuning", daemon=True)

    def start(self) -> None:
        """Begin to look; returns at once."""
        if self._on:
            self._thread.start()

    def close(self) -> None:
        """End what runs."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        busy = time.monotonic()
        while not self._closing.wait(LOOK_SECONDS):
            if self._pool.busy:
                busy = time.monotonic()
                continue
            if time.monotonic() - busy > EMBEDDED.peace:
                for model in self._pool.models():
                    if model.engine is not None and self._consider(model, busy):
                        busy = time.monotonic()

    def _consider(self, model: Model, busy: float) -> bool:
        """Tune a model that is loaded and that nothing is known of yet; whether time went by."""
        state = model.state
        if state.status != "ready" or (state.model and state.model.n_gpu_layers):
            return False
        try:
            file = model.spec.file()
            if file is None or file in self._done:
                return False
            care = EMBEDDED if file == paths.embedded_model() else OTHERS
            if time.monotonic() - busy < care.peace:
                return False
            known = profile_for(file, tuned.folder())
            if (known and (known.faster or known.complete)) or self._tune(model, file, care.budget):
                self._done.add(file)
        except (ApplianceError, OSError) as ex:
            log.warning("%s could not be tuned: %s", model.id, ex)
            self._done.add(file) if file else None
        return True

    def _tune(self, model: Model, file: Path, budget: float) -> bool:
        """Whether it came to an end, or is not to be tried again before the next start."""
        self._attempts[file] = self._attempts.get(file, 0) + 1
        stop = threading.Event()
        ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(stop, ended), name="tuning watch")
        watch.start()
        try:
            profile = tune(
                file,
                tuned.folder(),
                budget_seconds=budget,
                progress=lambda line: log.debug("tuning %s: %s", model.id, line),
                command=paths.tuner_command(),
                environment=worker_environment(),
                memory_bytes=memory().available,
                stop=stop,
            )
        except TuningStopped:
            return self._attempts[file] >= ATTEMPTS
        finally:
            ended.set()
            watch.join()
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

    def _watch(self, stop: threading.Event, ended: threading.Event) -> None:
        while not ended.wait(LOOK_SECONDS):
            if self._pool.busy or self._closing.is_set():
                stop.set()
                return
