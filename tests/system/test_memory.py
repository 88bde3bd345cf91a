"""Memory of this machine, and of machines that report it differently."""

from pathlib import Path

import psutil
import pytest

from appliance.config.loader import load
from appliance.service import model_library
from appliance.system.control_groups import oom_kills
from appliance.system.memory import Memory, memory
from tests.system.fake_cgroups import GB, machine


def test_this_machine() -> None:
    here, reference = memory(), psutil.virtual_memory()
    assert 0 < here.total <= reference.total
    assert 0 < here.available <= min(here.total, reference.available + GB)


@pytest.mark.parametrize("groups", [{}, {"proc/self/cgroup": "0::/\n"}])
def test_no_limit(groups: dict[str, str], tmp_path: Path) -> None:
    assert memory(machine(tmp_path, groups)) == Memory(16 * GB, 8 * GB)


def group(folder: str, limit: str, used: int, **stat: int) -> dict[str, str]:
    return {
        f"sys/fs/cgroup/{folder}memory.max": f"{limit}\n",
        f"sys/fs/cgroup/{folder}memory.current": f"{used}\n",
        f"sys/fs/cgroup/{folder}memory.stat": "anon 1\n"
        + "".join(f"{name} {value}\n" for name, value in stat.items()),
    }


def limited_memory(root: Path, total: int, available: int, by: str) -> Memory:
    return Memory(total, available, str(root / "sys/fs/cgroup" / by))


def test_limit_of_a_service(tmp_path: Path) -> None:
    """Page cache can be reclaimed, active or inactive."""
    files = group("a.slice/a.service/", str(4 * GB), 3 * GB, inactive_file=GB, active_file=GB // 2)
    root = machine(tmp_path, {"proc/self/cgroup": "0::/a.slice/a.service\n", **files})
    assert memory(root) == limited_memory(root, 4 * GB, 5 * GB // 2, "a.slice/a.service/memory.max")


def test_limit_of_what_is_around_it(tmp_path: Path) -> None:
    files = group("a/", str(2 * GB), 3 * GB) | group("a/b/", str(4 * GB), GB)
    root = machine(tmp_path, {"proc/self/cgroup": "0::/a/b\n", **files})
    assert memory(root) == limited_memory(root, 2 * GB, 0, "a/memory.max")


def test_a_wider_limit_that_is_nearly_used_up(tmp_path: Path) -> None:
    files = group("a/", str(8 * GB), 7 * GB) | group("a/b/", str(4 * GB), GB)
    root = machine(tmp_path, {"proc/self/cgroup": "0::/a/b\n", **files})
    assert memory(root) == limited_memory(root, 4 * GB, GB, "a/b/memory.max")


def test_where_everything_slows_down_is_a_limit(tmp_path: Path) -> None:
    files = group("", str(4 * GB), GB) | {"sys/fs/cgroup/memory.high": f"{3 * GB}\n"}
    root = machine(tmp_path, {"proc/self/cgroup": "0::/\n", **files})
    assert memory(root) == limited_memory(root, 3 * GB, 2 * GB, "memory.high")


@pytest.mark.parametrize("path", ["/docker/1234", "/"])
def test_limit_in_a_container_of_version_1(path: str, tmp_path: Path) -> None:
    """The container sees its own group as the root, whatever its name outside."""
    files = {
        "proc/self/cgroup": f"9:cpu,cpuacct:{path}\n4:memory:{path}\n1:name=systemd:{path}\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{6 * GB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{2 * GB}\n",
        "sys/fs/cgroup/memory/memory.stat": f"cache 5\ntotal_inactive_file {GB}\n",
    }
    root = machine(tmp_path, files)
    assert memory(root) == limited_memory(root, 6 * GB, 5 * GB, "memory/memory.limit_in_bytes")


def test_group_inside_a_container_of_version_1(tmp_path: Path) -> None:
    inner = "sys/fs/cgroup/memory/inner"
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/1234/inner\n",
            f"{inner}/memory.limit_in_bytes": f"{GB}\n",
            f"{inner}/memory.usage_in_bytes": "0\n",
            f"{inner}/memory.stat": f"hierarchical_memory_limit {GB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{6 * GB}\n",
        },
    )
    assert memory(root) == limited_memory(root, GB, GB, "memory/inner/memory.limit_in_bytes")


def test_the_group_that_limits_is_named(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/a/b\n",
            "sys/fs/cgroup/memory/a/b/memory.stat": f"hierarchical_memory_limit {GB}\n",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{GB}\n",
        },
    )
    assert memory(root) == limited_memory(root, GB, GB, "memory/a/memory.limit_in_bytes")


def test_limit_around_a_container_of_version_1(tmp_path: Path) -> None:
    """There is no file for it, but the kernel counts it."""
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GB}\n",
        "sys/fs/cgroup/memory/memory.stat": f"hierarchical_memory_limit {2 * GB}\n",
    }
    root = machine(tmp_path, files)
    assert memory(root) == limited_memory(root, 2 * GB, GB, "memory/memory.stat")


@pytest.mark.parametrize(
    "broken",
    [
        {"proc/self/cgroup": "no groups at all"},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "much\n"},
        {"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/memory.max": "1\n"},
        {"proc/self/cgroup": "0::/gone (deleted)\n"},
    ],
)
def test_what_says_nothing_limits_nothing(broken: dict[str, str], tmp_path: Path) -> None:
    assert memory(machine(tmp_path, broken)) == Memory(16 * GB, 8 * GB)


def test_a_limit_without_a_usage_file_counts(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GB}\n"}
    root = machine(tmp_path, files)
    assert memory(root) == limited_memory(root, GB, GB, "memory.max")


def test_models_fit_what_the_group_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GB}\n"}
    limited = memory(machine(tmp_path, files))
    monkeypatch.setattr(model_library, "memory", lambda: limited)
    assert 0 < model_library.machine(load(None, environ={})).memory() < GB


@pytest.mark.parametrize(
    ("groups", "name"),
    [
        ("0::/a/b\n", "memory.events"),
        ("4:memory:/a/b\n0::/\n", "memory/a/b/memory.oom_control"),
    ],
)
def test_who_was_killed_for_want_of_memory_is_counted(
    groups: str, name: str, tmp_path: Path
) -> None:
    text = "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n"
    if "control" in name:
        text = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    else:
        name = f"a/b/{name}"
    root = machine(tmp_path, {"proc/self/cgroup": groups, f"sys/fs/cgroup/{name}": text})
    assert oom_kills(root) == 2


def test_nobody_counts_kills_everywhere(tmp_path: Path) -> None:
    assert oom_kills(machine(tmp_path, {})) == 0
    # Older kernels have no such line.
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n",
    }
    assert oom_kills(machine(tmp_path / "old", files)) == 0
