"""The memory that a model takes, and what for: expected of one that is not loaded, measured of one
that is. Everything that shows memory shows this."""

from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec import structs

from appliance.config.context import ContextSettings
from appliance.errors import ModelLoadFailed
from appliance.models.gguf.shards import read_model
from appliance.models.memory.estimate import MemoryEstimate, MemoryPart, estimate
from appliance.models.memory.fit import Machine, MemoryNeeds


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of this machine's memory."""

    weights: int
    cache: int
    """The KV cache of chats: keys and values, in their slots."""
    slots: int
    """The number of separate parts for slots; 1: all slots share it."""
    compute: int
    saved: int
    """Of what chats without a slot have read, and of where those with a slot can go back to."""
    process: int
    """The programs that run it, and what else they need."""
    gpu: int
    """Estimated use of the GPUs' own memory; not in `total`."""
    measured: bool
    """It is loaded, and the sum is what its processes have."""

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.compute + self.saved + self.process


def expected(weight: MemoryNeeds, machine: Machine) -> MemoryUse:
    """The expected use of a model if it were loaded now."""
    if 0 < weight.gpu <= machine.gpu():
        return structs.replace(_of(weight.beside_gpu, weight.slots), gpu=weight.gpu)
    if machine.plenty(weight.apart.total - weight.shared.total):
        return _of(weight.apart, weight.slots)
    return _of(weight.shared, 1)


def measured(
    resident: int,
    saved: int,
    *,
    weights: int,
    settings: ContextSettings | None = None,
    file: str = "",
    n_gpu_layers: int = 0,
) -> MemoryUse:
    """The use of a loaded model.

    Args:
        resident: bytes that its processes have in memory.
        saved: of these, states of chats without a slot.
        weights: bytes, as the worker says.
        settings: of its context; None: what it takes is unknown.
        file: what was loaded.
        n_gpu_layers: not here.
    """
    found = taken(file, settings, n_gpu_layers) if settings else None
    if settings is None or found is None:
        use = _of(MemoryPart(weights=weights), 1)
    else:
        use = _of(found.cpu, 1 if settings.kv_unified else settings.n_seq_max)
        use = structs.replace(use, gpu=found.gpu.total)
    use = structs.replace(use, saved=saved, process=0, measured=True)
    over = use.total - resident
    # Pages of the file that were not used recently are not there, and then what was swapped out.
    for name in ("weights", "cache", "saved", "compute"):
        less = min(max(0, over), getattr(use, name))
        use = structs.replace(use, **{name: getattr(use, name) - less})
        over -= less
    return structs.replace(use, process=max(0, resident - use.total))


@lru_cache(maxsize=32)
def taken(file: str, settings: ContextSettings, n_gpu_layers: int) -> MemoryEstimate | None:
    """By estimate; None: the file can't be read any more."""
    try:
        return estimate(read_model(Path(file)), settings, n_gpu_layers)
    except ModelLoadFailed:
        return None


def _of(part: MemoryPart, slots: int) -> MemoryUse:
    return MemoryUse(
        weights=part.weights,
        cache=part.cache,
        slots=slots,
        compute=part.compute + part.output,
        saved=0,
        process=part.process,
        gpu=0,
        measured=False,
    )
