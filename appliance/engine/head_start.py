"""One worker process that is started before it is known what for.

Python and its libraries take longer to start than a small model to load, and when the appliance
starts it has its own to wait for, on another core. The first worker that is asked for is the one
that waits already.
"""

import threading
from collections.abc import Mapping, Sequence

from appliance.engine.worker_process import WorkerProcess

PATIENCE_SECONDS = 30.0
"""After which a worker that nobody asked for goes."""

_lock = threading.Lock()
_waiting: list[tuple[Sequence[str], WorkerProcess]] = []


def begin(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Starts a worker with what most need already loaded; `take` with that command gets it.

    Raises:
        OSError: it cannot be started.
    """
    worker = WorkerProcess("worker", [*command, "ahead"], environment)
    with _lock:
        _waiting.append((command, worker))
    timer = threading.Timer(patience_seconds, _let_go, (worker,))
    timer.daemon = True
    timer.start()


def take(name: str, command: Sequence[str], environment: Mapping[str, str]) -> WorkerProcess:
    """The worker that waits, or else a new one; `name` is for its log lines.

    Raises:
        OSError: it cannot be started.
    """
    with _lock:
        found = next((one for one in _waiting if one[0] == command), None)
        if found:
            _waiting.remove(found)
    if found is None:
        return WorkerProcess(name, command, environment)
    worker = found[1]
    if worker.wait(0):  # it died of itself
        worker.close()
        return WorkerProcess(name, command, environment)
    worker.name = name
    return worker


def _let_go(worker: WorkerProcess) -> None:
    with _lock:
        waiting = [one for one in _waiting if one[1] is not worker]
        if len(waiting) == len(_waiting):
            return
        _waiting[:] = waiting
    worker.kill()
    worker.close()
