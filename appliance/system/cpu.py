"""The processor, as far as this process may use it."""

import os
from pathlib import Path

import msgspec

from appliance.system.control_groups import Limit, cpu_quota


class Processor(msgspec.Struct, frozen=True):
    """What of it this process may use."""

    threads: int
    """That run at the same time."""
    cores: int
    """The same with hyper-threads of one core counted once."""
    quota: Limit | None = None
    """The quota of the control group that allows the least time."""


def processor(root: Path = Path("/")) -> Processor:
    """Threads and cores within this process's affinity and the quota of its control groups.

    A quota is rounded down, to one at least: the threads of a step meet at barriers, and when the
    group has spent its time before its period ends, all of them stand still.

    Source: `sched_getaffinity`, sysfs and control groups on Linux, with its files under `root`;
    elsewhere the number of logical processors.
    """
    if not hasattr(os, "sched_getaffinity"):
        logical = os.cpu_count() or 1
        return Processor(logical, logical)
    allowed = os.sched_getaffinity(0)
    threads, cores = len(allowed), _cores(allowed, root)
    quota = cpu_quota(root)
    most = max(1, int(quota.amount)) if quota else threads
    return Processor(min(threads, most), min(cores, most), quota)


def physical_cores() -> int:
    """Cores that this process may use, hyper-threads of one core counted once."""
    return processor().cores


def _cores(cpus: set[int], root: Path) -> int:
    folder = root / "sys/devices/system/cpu"
    try:
        return len({(folder / f"cpu{n}/topology/thread_siblings_list").read_text() for n in cpus})
    except OSError:
        return len(cpus)
