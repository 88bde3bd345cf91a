"""How much memory this machine has, and how much of it a new process could have."""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec


class Memory(msgspec.Struct, frozen=True):
    """Bytes."""

    total: int
    available: int
    """Free, or to be had by dropping caches of files."""


def memory(root: Path = Path("/")) -> Memory:
    """This machine's memory; on Linux within the limits of the control groups that this process
    is in, version 1 or 2. `root` is where Linux has its files.

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
    total = sizes["MemTotal"]
    available = sizes.get("MemAvailable", sizes["MemFree"])
    for limit, used in _control_groups(root):
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    return Memory(total, available)


def _control_groups(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of every group that has a limit, from the process's own up to the first."""
    groups = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers == "":
            mount, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        own = mount / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(mount):
                yield from _limit(folder, *names)


def _limit(folder: Path, limit: str, use: str, droppable: str) -> Iterator[tuple[int, int]]:
    try:
        most = (folder / limit).read_text("ascii").strip()
        used = int((folder / use).read_text("ascii"))
        stat = dict(
            line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines()
        )
    except (OSError, ValueError):
        return  # not a group, or one that is not ours to see
    if most != "max":
        yield int(most), used - int(stat.get(droppable, 0))


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
