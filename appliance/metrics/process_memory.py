"""The memory of processes, as the system reports it."""

import psutil

from appliance.engine.serving.pool import ServedModel
from appliance.models.memory.usage import MemoryUse, measured


def of_process(pid: int | None, *, children: bool = False) -> int:
    """Bytes in memory, those of mapped files included; 0: there is no such process."""
    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        size = int(process.memory_info().rss)
        below = process.children(recursive=True) if children else []
    except psutil.Error:
        return 0
    return size + sum(of_process(child.pid) for child in below)


def of_model(model: ServedModel) -> MemoryUse | None:
    """What a model takes, with the process that renders its chats; None: it has none here."""
    engine, info = model.engine, model.state.model
    resident = of_process(engine.worker_pid, children=True) if engine else 0
    if not resident or info is None:
        return None
    return measured(
        resident,
        model.counters.kv_memory_bytes,
        weights=info.size,
        settings=info.context,
        file=info.file,
        n_gpu_layers=info.n_gpu_layers,
    )
