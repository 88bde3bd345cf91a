"""One worker process that is started before it is known what for.

Python and its libraries take longer to start than a small model to load, and when the appliance
starts it has its own to wait for, on another core. The first worker that is asked for is the one
that waits already, and may have its model by then.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.engine.local.worker_process import WorkerProcess
from appliance.engine.protocol import Load

PATIENCE_SECONDS = 30.0
"""After which a worker that nobody asked for goes."""


@dataclass(eq=False)
class _Waiting:
    command: Sequence[str]
    worker: WorkerProcess
    load: Load | None = None


_lock = threading.Lock()
_waiting: list[_Waiting] = []


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
    waiting = _Waiting(command, WorkerProcess("worker", [*command, "ahead"], environment))
    with _lock:
        _waiting.append(waiting)
    timer = threading.Timer(patience_seconds, _let_go, (waiting,))
    timer.daemon = True
    timer.start()


def load(command: Sequence[str], load: Load) -> None:
    """Has the worker that waits load this model; from now on it is for this alone."""
    with _lock:
        for waiting in _waiting:
            if waiting.command == command and waiting.load is None:
                waiting.load = load
                waiting.worker.send(load)
                return


def take(
    name: str, command: Sequence[str], environment: Mapping[str, str], load: Load
) -> WorkerProcess:
    """The worker that waits, or else a new one; it has been told to load. `name` is for its log
    lines.

    Raises:
        OSError: it cannot be started.
    """
    with _lock:
        found = next((one for one in _waiting if one.command == command), None)
        if found:
            _waiting.remove(found)
    if found and (found.load not in (None, load) or found.worker.wait(0)):  # or it died of itself
        _end(found)
        found = None
    worker = found.worker if found else WorkerProcess(name, command, environment)
    worker.name = name
    if found is None or found.load is None:
        worker.send(load)
    return worker


def _let_go(waiting: _Waiting) -> None:
    with _lock:
        if waiting not in _waiting:
            return
        _waiting.remove(waiting)
    _end(waiting)


def _end(waiting: _Waiting) -> None:
    waiting.worker.kill()
    waiting.worker.close()
