"""The thread count by processor, the process's affinity and the quota of its control groups."""

import os
from pathlib import Path

import pytest

from appliance.system.cpu import processor
from tests.system.fake_cgroups import machine

TOPOLOGY = {
    f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}\n"
    for n in range(8)
}
"""Four cores of two threads each."""


@pytest.fixture(autouse=True)
def eight_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def counted(root: Path) -> tuple[int, int]:
    found = processor(root)
    return found.threads, found.cores


def v2(path: str, **quotas: str) -> dict[str, str]:
    """`quotas` by the last part of a group's path; `root` is the root group."""
    files = {"proc/self/cgroup": f"0::{path}\n", "sys/fs/cgroup/cgroup.controllers": "cpu memory\n"}
    own = ["root", *path.strip("/").split("/")]
    for name, quota in quotas.items():
        folder = "/".join(own[1 : own.index(name) + 1])
        files[f"sys/fs/cgroup/{folder}/cpu.max"] = f"{quota}\n"
    return files


def v1(quota: int, folder: str = "cpu,cpuacct") -> dict[str, str]:
    return {
        "proc/self/cgroup": "3:cpu,cpuacct:/docker/1234\n4:memory:/docker/1234\n0::/\n",
        f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"sys/fs/cgroup/{folder}/cpu.cfs_period_us": "100000\n",
    }


def test_no_quota(tmp_path: Path) -> None:
    assert counted(machine(tmp_path, TOPOLOGY)) == (8, 4)


def test_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 4, 1}, raising=False)
    assert counted(machine(tmp_path, TOPOLOGY)) == (3, 2)


@pytest.mark.parametrize(
    ("groups", "threads", "cores"),
    [
        (v2("/a", a="max 100000"), 8, 4),
        (v2("/a", a="200000 100000"), 2, 2),
        (v2("/a", a="600000 100000"), 6, 4),
        (v2("/a", a="150000 100000"), 1, 1),  # rounded down
        (v2("/a", a="50000 100000"), 1, 1),
        (v2("/a", a="25000 10000"), 2, 2),
        (v2("/", root="300000 100000"), 3, 3),  # a container with its own namespace
        (v2("/a/b", a="200000 100000", b="max 100000"), 2, 2),
        (v2("/a/b", a="200000 100000", b="300000 100000"), 2, 2),
        (v2("/a/b", a="300000 100000", b="200000 100000"), 2, 2),
        (v2("/a", a="nonsense"), 8, 4),
        (v2("/a", a="100000 0"), 8, 4),
        (v1(-1), 8, 4),
        (v1(200000), 2, 2),
        (v1(200000, "cpu"), 2, 2),  # mounted under one of its names
        (v1(200000, "cpu,cpuacct/docker/1234"), 2, 2),
    ],
)
def test_quota(groups: dict[str, str], threads: int, cores: int, tmp_path: Path) -> None:
    assert counted(machine(tmp_path, TOPOLOGY | groups)) == (threads, cores)


def test_both_versions_at_once(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "3:memory:/\n0::/a\n",
        "sys/fs/cgroup/unified/a/cpu.max": "200000 100000\n",
    }
    assert counted(machine(tmp_path, TOPOLOGY | files)) == (2, 2)


def test_the_limiting_file_is_reported(tmp_path: Path) -> None:
    groups = v2("/a/b", a="150000 100000", b="300000 100000")
    quota = processor(machine(tmp_path, groups)).quota
    assert quota is not None
    assert (quota.amount, quota.source) == (1.5, tmp_path / "sys/fs/cgroup/a/cpu.max")
