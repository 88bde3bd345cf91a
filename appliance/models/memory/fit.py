"""Whether a model fits this machine: the memory it would take, and the memory available."""

from collections.abc import Callable
from typing import Literal

import msgspec

from appliance.models.memory.estimate import MemoryPart

Fits = Literal["fits", "partly", "too_big"]


class MemoryNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of memory that a model takes."""

    whole: int = 0
    """Without a GPU, with as long a context as it was trained for."""
    least: int = 0
    """Without a GPU, and with a context as short as still makes sense."""
    gpu: int = 0
    """Bytes on a GPU that holds the whole model."""
    shared: MemoryPart = MemoryPart()
    """Without a GPU, with as long a context as it would be loaded with here, of which all slots
    have one."""
    apart: MemoryPart = MemoryPart()
    """The same, one a slot."""
    beside_gpu: MemoryPart = MemoryPart()
    """Bytes of main memory while a GPU holds the whole model."""
    slots: int = 0


QUICK_BYTES_A_CORE = 600_000_000


class Machine(msgspec.Struct, frozen=True):
    """What models may take of this machine, in bytes."""

    memory: Callable[[], int]
    gpu: Callable[[], int]
    """Memory of the GPUs that models may run on; 0: there is none."""
    cores: int
    plenty: Callable[[int], bool]
    """Whether this many more bytes are spent on separate cells for each slot, for speed."""

    def quick(self) -> int:
        """The largest file that it writes about as fast as one reads: every byte of it is read for
        every token, and a processor's core manages some gigabytes a second."""
        return self.gpu() or self.cores * QUICK_BYTES_A_CORE


def fits(weight: MemoryNeeds, memory: int, gpu: int) -> Fits:
    """Whether a model fits a machine with this many bytes: entirely on its GPU if there is one,
    partly, with the rest in memory or a shorter context, or not at all."""
    if gpu and weight.gpu <= gpu:
        return "fits"
    if not gpu and weight.whole <= memory:
        return "fits"
    return "partly" if weight.least <= memory + gpu else "too_big"
