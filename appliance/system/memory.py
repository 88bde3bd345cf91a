"""How much memory this machine has, and how much of it a new process could have."""

import contextlib
import sys
from pathlib import Path

import msgspec

from appliance.system.control_groups import memory_limits

MMAP_BYTES = 256 * 1024
ARENAS = 4


def give_back_freed() -> None:
    """On glibc, have this process return memory to the system as soon as it is freed.

    By default glibc keeps what large blocks were in, once it has freed one, up to 32 MB each and in
    as many as eight heaps a core: after a flood of large requests a service would stay as large as
    it was at the height of it. Blocks from `MMAP_BYTES` on are mapped one by one from now on, which
    costs a few page faults each.
    """
    if sys.platform != "linux":
        return
    import ctypes

    m_mmap_threshold, m_arena_max = -3, -8
    with contextlib.suppress(OSError, AttributeError):  # musl has no such function, nor need of it
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_threshold, MMAP_BYTES)
        libc.mallopt(m_arena_max, ARENAS)


def trim() -> None:
    """On glibc, give back what small blocks were in, which `give_back_freed` does not reach."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


class Memory(msgspec.Struct, frozen=True):
    """Bytes."""

    total: int
    available: int
    """Free, or to be had by dropping caches of files."""
    limited_by: str = ""
    """The control group's file that gives this process less than the machine has."""


def memory(root: Path = Path("/")) -> Memory:
    """This machine's memory; on Linux within the limits of the control groups that this process
    is in. `root` is where Linux has its files.

    Raises:
        OSError: the system does not say.
    """
    if sys.platform != "linux":
        import psutil  # late: where it is not needed, starting takes no longer for it

        found = psutil.virtual_memory()
        return Memory(found.total, found.available)
    lines = (root / "proc/meminfo").read_text("ascii").splitlines()
    sizes = {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (x.partition(":") for x in lines)
    }
    total, limited_by = sizes["MemTotal"], ""
    available = sizes.get("MemAvailable", sizes["MemFree"])
    for limit in memory_limits(root):
        if limit.amount < total:
            total, limited_by = int(limit.amount), str(limit.source)
        available = min(available, max(0, int(limit.amount) - limit.used))
    return Memory(total, available, limited_by)
