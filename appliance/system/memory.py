"""How much memory this machine has, and how much of it a new process could have."""

import sys
from pathlib import Path

import msgspec

from appliance.system.control_groups import memory_limits


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
