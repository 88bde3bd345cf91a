"""Control groups as Linux exposes them, in a folder that stands for `/`."""

from pathlib import Path

GB = 1 << 30
MEMINFO = "MemTotal: 16777216 kB\nMemFree: 1048576 kB\nMemAvailable: 8388608 kB\n"


def machine(root: Path, files: dict[str, str]) -> Path:
    """A machine with 16 GB, 8 GB of them free, and `files` by their paths."""
    for name, content in {"proc/meminfo": MEMINFO, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root
