"""Verifies GPUs against the processor, which serves requests meanwhile, and moves models to them.

A worker looks up the result itself, and reports the GPUs that its model would run on if they were
compared. When that is done and the model is idle, it is loaded again.
"""

import logging

import msgspec

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.engine.base import Engine
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.errors import ApplianceError
from appliance.system.periodic_thread import PeriodicThread
from appliance.tuning.devices.verify import ComparisonOutcome, compare

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""From one look at the pool to the next."""


class DeviceVerifier:
    """A thread that looks for something to compare."""

    def __init__(self, pool: Pool) -> None:
        """Nothing is done before `start`."""
        self._pool = pool
        self._settled: dict[str, Engine] = {}
        """Models whose engine is only to make room for another, by id."""
        self._thread = PeriodicThread("comparing", self._look, seconds=LOOK_SECONDS)

    def start(self) -> None:
        """Begin to look; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End what runs."""
        self._thread.close()

    # -- the thread --------------------------------------------------------------------------------

    def _look(self) -> None:
        for model in self._pool.models():
            engine = model.engine
            if engine is None or self._thread.stopping:
                continue
            if self._settled.get(model.id) is engine:
                self._move(model, engine)
            elif engine.state.status == "ready" and self._compare(model, engine):
                self._settled[model.id] = engine

    def _compare(self, model: ServedModel, engine: Engine) -> bool:
        """Whether the model is to be loaded again, because more is known than when it was."""
        info = engine.state.model
        if info is None or not info.unproven or model.spec.load is None:
            return False
        names = " and ".join(info.unproven)
        log.info("%s: comparing %s with the processor", model.id, names)
        try:
            load = msgspec.structs.replace(model.spec.load(), variant=info.variant)
            outcome = compare(
                load,
                info.unproven,
                command=paths.fidelity_command(),
                environment=worker_environment(),
                stop=lambda: self._thread.stopping or model.engine is not engine,
            )
        except (ApplianceError, OSError) as ex:
            outcome = ComparisonOutcome(None, str(ex))
        result = outcome.result
        if result is None and not outcome.why:
            return False
        if result is None:
            log.warning("%s: %s is not used: %s", model.id, names, outcome.why)
            model.spec.excluded.add(info.unproven, outcome.why)
        elif result.fault:
            log.error("%s: %s is not used: %s", model.id, names, result.fault)
        else:
            log.info(
                "%s: %s says what the processor says (%.4f nats a token over %d tokens, %.1f s)",
                *(model.id, names, result.mean, result.tokens, result.seconds),
            )
        return True

    def _move(self, model: ServedModel, engine: Engine) -> None:
        """Load it again, if no request uses it."""
        try:
            self._pool.reload_idle(model, engine)
        except ApplianceError as ex:
            log.warning("%s could not be loaded again: %s", model.id, ex)
