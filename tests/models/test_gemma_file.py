"""The real model with a sliding window that tests and benchmarks use."""

from pathlib import Path

import pytest

from appliance.models.gguf.header import read_header
from tests.models import gemma as package


def test_it_is_gemma_with_its_window(gemma: Path) -> None:
    header = read_header(gemma)
    assert (header.architecture, header.sliding_window) == ("gemma3", 512)
    assert header.context_length == 32_768


def test_packages_that_hold_something_else_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "part"
    other.write_bytes(b"GGUF")
    monkeypatch.setattr(package, "chunk_paths", lambda: [other, other])
    monkeypatch.setattr(package, "FOLDER", tmp_path / "joined")
    with pytest.raises(ValueError, match="SHA-256"):
        package.gemma_file()
    assert list((tmp_path / "joined").iterdir()) == []
