"""The limits that the control groups of this process set, on Linux, version 1 or 2.

A group's limit holds for those inside it, so the smallest from the process's own group outwards is
what counts. Groups around a container cannot be seen from inside.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Limit(msgspec.Struct, frozen=True):
    """One group's limit."""

    amount: float
    """Processors, which need not be whole, or bytes."""
    source: Path
    """The file that says so."""
    used: int = 0
    """Bytes of the limit that are taken and can't be had back; 0 where this is unknown."""


def cpu_quota(root: Path = Path("/")) -> Limit | None:
    """The least processor time that a group has, in processors; None: there is no quota.

    `root` is where Linux has its files.
    """
    quotas = [quota for version, folder in _groups("cpu", root) for quota in _cpu(version, folder)]
    return min(quotas, key=lambda quota: quota.amount, default=None)


def memory_limits(root: Path = Path("/")) -> list[Limit]:
    """Every limit of memory, in bytes, from the process's own group outwards, and last those of
    groups that cannot be seen from here.

    `root` is where Linux has its files.
    """
    groups = _groups("memory", root)
    limits = [limit for version, folder in groups for limit in _memory(version, folder)]
    return sorted(limits, key=lambda limit: limit.source.name == "memory.stat")


def oom_kills(root: Path = Path("/")) -> int:
    """Processes of this process's own group, or of one below it, that the kernel has ended because
    memory ran out; 0 where they are not counted."""
    for version, folder in _groups("memory", root):
        file = folder / ("memory.events" if version == 2 else "memory.oom_control")
        counts = _read(file, _table)
        if counts and "oom_kill" in counts:
            return counts["oom_kill"]
    return 0


def _groups(controller: str, root: Path) -> Iterator[tuple[int, Path]]:
    """Version and folder of the groups that this process is in, its own first."""
    groups = _read(root / "proc/self/cgroup", str.splitlines) or []
    for group in groups:
        _, _, rest = group.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            version, mount = 2, root / "sys/fs/cgroup"
            if not (mount / "cgroup.controllers").exists() and (mount / "unified").is_dir():
                mount /= "unified"  # both versions at once
        elif controller in controllers.split(","):
            version, mount = 1, root / "sys/fs/cgroup" / controllers
            if not mount.is_dir():
                mount = root / "sys/fs/cgroup" / controller
        else:
            continue
        parts = path.strip("/").split("/")
        if ".." in parts:
            continue  # outside what is mounted here
        # A container may see its own group as the first one, and get the path as it is outside.
        ends = (mount.joinpath(*parts[i:]) for i in range(len(parts)))
        own = next((folder for folder in ends if folder.is_dir()), mount)
        yield from ((version, f) for f in (own, *own.parents) if f.is_relative_to(mount))


def _cpu(version: int, folder: Path) -> Iterator[Limit]:
    if version == 2:
        source = folder / "cpu.max"
        quota, period = _read(source, _pair) or (-1, 0)
    else:
        source = folder / "cpu.cfs_quota_us"
        quota = _read(source, int) or -1
        period = _read(folder / "cpu.cfs_period_us", int) or 0
    if quota > 0 and period > 0:
        yield Limit(quota / period, source)


def _memory(version: int, folder: Path) -> Iterator[Limit]:
    stat = _read(folder / "memory.stat", _table) or {}
    if version == 2:
        used = _read(folder / "memory.current", int) or 0
        # Above `high` a process isn't killed, but slowed until nothing moves.
        limits = {name: _read(folder / name, int) for name in ("memory.max", "memory.high")}
        dropped = ["inactive_file", "active_file", "slab_reclaimable"]
    else:
        used = _read(folder / "memory.usage_in_bytes", int) or 0
        limits = {"memory.limit_in_bytes": _read(folder / "memory.limit_in_bytes", int)}
        # Also of the groups around it that can't be seen from here.
        limits["memory.stat"] = stat.get("hierarchical_memory_limit")
        dropped = ["total_inactive_file", "total_active_file"]
    used = max(0, used - sum(stat.get(name, 0) for name in dropped))
    for name, limit in limits.items():
        if limit is not None:
            yield Limit(limit, folder / name, used)


def _pair(text: str) -> tuple[int, int]:
    quota, period = text.split()
    return int(quota), int(period)


def _table(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def _read(file: Path, parse: Callable[[str], T]) -> T | None:
    """None where there is no such file, it isn't ours to read, or it says `max`."""
    try:
        return parse(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
