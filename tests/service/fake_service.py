"""`appliance` with the fake runner as its only model, for load and faults. Run as a program.

FAKE_OTHERS are the names of other models, which are loaded when they are needed.
"""

import os
import sys
from pathlib import Path

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.config.schema import Config
from appliance.engine.base import ModelSpec
from appliance.engine.local.engine import LocalEngine
from appliance.engine.local.prestart import PrestartedWorker
from appliance.engine.protocol import Load
from appliance.service import model_specs

FAKE_RUNNER = Path(__file__).parents[1] / "engine" / "fake_runner.py"


def specs(config: Config, prestarted: PrestartedWorker | None = None) -> list[ModelSpec]:
    """Replaces the configured models."""
    assert prestarted is None
    engine = config.engine
    load = Load(
        path="fake",
        template_command=tuple(paths.template_command()),
        n_ctx=262_144,
        n_batch=engine.n_batch,
        n_ubatch=engine.n_ubatch,
        n_seq_max=engine.n_seq_max,
        kv_unified=False,
        n_threads=1,
    )
    bent = {name: value for name, value in os.environ.items() if name.startswith("FAKE_")}
    environment = {**worker_environment(), "PYTHONPATH": os.pathsep.join(sys.path), **bent}

    def make() -> LocalEngine:
        command = [sys.executable, str(FAKE_RUNNER)]
        return LocalEngine(
            "fake", load, command=command, environment=environment, max_waiting=engine.max_waiting
        )

    others = os.environ.get("FAKE_OTHERS", "").split()
    return [
        ModelSpec(id="fake", name="Fake", make=make, prewarm=True),
        *(ModelSpec(id=name.lower(), name=name, make=make) for name in others),
    ]


def no_worker(config: Config) -> PrestartedWorker | None:
    """Replaces a real prestarted worker, which would never be used."""
    return None


if __name__ == "__main__":
    from appliance.cli import service
    from appliance.cli.main import main

    model_specs.specs = specs
    service._prestarted = no_worker
    main()
