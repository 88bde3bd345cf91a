"""The packages that `make packages` built."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"


def newest(pattern: str) -> Path:
    """The newest package; the test is skipped without one."""
    found = sorted(DIST.glob(pattern), key=lambda file: file.stat().st_mtime)
    if not found:
        pytest.skip(f"there is no dist/{pattern}: `make packages` makes it")
    return found[-1]
