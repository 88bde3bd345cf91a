"""Memory of this machine, and of machines that say it in other ways."""

from pathlib import Path

import psutil
import pytest

from appliance.models.memory import Memory, memory

GB = 1 << 30
MEMINFO = "MemTotal: 16777216 kB\nMemFree: 1048576 kB\nMemAvailable: 8388608 kB\n"


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in {"proc/meminfo": MEMINFO, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def test_this_machine() -> None:
    here, said = memory(), psutil.virtual_memory()
    assert 0 < here.total <= said.total
    assert 0 < here.available <= min(here.total, said.available + GB)


def test_no_limit(tmp_path: Path) -> None:
    root = machine(tmp_path, {"proc/self/cgroup": "0::/\n"})
    assert memory(root) == Memory(16 * GB, 8 * GB)


def group(folder: str, limit: str, used: int, droppable: int) -> dict[str, str]:
    return {
        f"sys/fs/cgroup/{folder}memory.max": f"{limit}\n",
        f"sys/fs/cgroup/{folder}memory.current": f"{used}\n",
        f"sys/fs/cgroup/{folder}memory.stat": f"anon 1\ninactive_file {droppable}\n",
    }


def test_limit_of_a_service(tmp_path: Path) -> None:
    files = group("system.slice/a.service/", str(4 * GB), 3 * GB, GB)
    root = machine(tmp_path, {"proc/self/cgroup": "0::/system.slice/a.service\n", **files})
    assert memory(root) == Memory(4 * GB, 2 * GB)


def test_limit_of_what_is_around_it(tmp_path: Path) -> None:
    files = group("a/", str(2 * GB), 3 * GB, 0) | group("a/b/", "max", GB, 0)
    root = machine(tmp_path, {"proc/self/cgroup": "0::/a/b\n", **files})
    assert memory(root) == Memory(2 * GB, 0)


@pytest.mark.parametrize("path", ["/docker/1234", "/"])
def test_limit_in_a_container_of_version_1(path: str, tmp_path: Path) -> None:
    """The container sees its own group as the first one, whatever it is called outside."""
    files = {
        "proc/self/cgroup": f"9:cpu,cpuacct:{path}\n4:memory:{path}\n1:name=systemd:{path}\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{6 * GB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{2 * GB}\n",
        "sys/fs/cgroup/memory/memory.stat": f"cache 5\ntotal_inactive_file {GB}\n",
    }
    assert memory(machine(tmp_path, files)) == Memory(6 * GB, 5 * GB)
