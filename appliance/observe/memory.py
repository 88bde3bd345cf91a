"""What processes take of memory."""

import psutil

from appliance.engine.pool import Model


def of_process(pid: int | None) -> int:
    """Bytes in memory, those of mapped files included; 0: there is no such process."""
    if pid is None:
        return 0
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def of_worker(model: Model) -> int:
    """The same of a model's worker, if it has one here."""
    engine = model.engine
    return of_process(engine.worker_pid if engine else None)
