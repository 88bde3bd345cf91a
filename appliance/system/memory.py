"""How much memory this machine has, and how much of it a new process could have."""

import ctypes
import os
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
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return _macos()
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


def _macos() -> Memory:
    page = os.sysconf("SC_PAGE_SIZE")
    system = ctypes.CDLL(None)
    # vm_statistics64: free, active, inactive and wired pages come first.
    pages, count = (ctypes.c_uint32 * 64)(), ctypes.c_uint32(38)
    host_vm_info64 = 4
    if system.host_statistics64(
        system.mach_host_self(), host_vm_info64, pages, ctypes.byref(count)
    ):
        raise OSError("host_statistics64 failed")
    return Memory(page * os.sysconf("SC_PHYS_PAGES"), page * (pages[0] + pages[2]))


def _windows() -> Memory:
    if sys.platform != "win32":
        raise OSError("not Windows")
    # MEMORYSTATUSEX: its length, a percentage, then total and available bytes.
    status = (ctypes.c_uint64 * 8)()
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(status):
        raise ctypes.WinError()
    return Memory(status[1], status[2])
