"""One worker process that is started before its model is known.

Python and its libraries take longer to start than a small model to load, and when the appliance
starts it has its own to wait for, on another core. The first engine that it is handed to has a
worker at once, and perhaps one that has its model by then.
"""

import threading
from collections.abc import Mapping, Sequence

from appliance.engine.local.worker_process import WorkerProcess
from appliance.engine.protocol import Load

TIMEOUT_SECONDS = 30.0
"""After which a worker that no engine took is ended."""


class PrestartedWorker:
    """Waits for the engine that takes it. Thread-safe."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Starts it, with what most models need already imported.

        Raises:
            OSError: it cannot be started.
        """
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = WorkerProcess(
            "worker", [*command, "ahead"], environment
        )
        self._load: Load | None = None
        timer = threading.Timer(timeout_seconds, self.close)
        timer.daemon = True
        timer.start()

    def load(self, load: Load) -> None:
        """Have it load this model; from now on it is for this alone."""
        with self._lock:
            if self._worker and self._load is None:
                self._load = load
                self._worker.send(load)

    def take(self, load: Load) -> WorkerProcess | None:
        """The worker, which loads that model; None: it is gone, or loads another."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is None:
            return None
        if self._load not in (None, load) or worker.wait(0):  # or it died of itself
            _end(worker)
            return None
        if self._load is None:
            worker.send(load)
        return worker

    def close(self) -> None:
        """End it, if no engine took it."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker:
            _end(worker)


def _end(worker: WorkerProcess) -> None:
    worker.kill()
    worker.close()
