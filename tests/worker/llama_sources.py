"""Files of llama.cpp, read from the source archive of the pinned llama-cpp-python; no copy is
stored here."""

import functools
from pathlib import Path

from tests.worker import source_archive

INSIDE = "/vendor/llama.cpp/"


def archive() -> Path:
    """Where it is."""
    return source_archive.downloaded("llama.txt", "llama-source", "--no-build-isolation")


@functools.cache
def sources(folder: str, ending: str) -> dict[str, str]:
    """Texts of the files directly in a folder of llama.cpp with this suffix, by name."""
    found = source_archive.texts(archive(), f"{INSIDE}{folder}/", ending)
    assert found, f"the archive has no {folder}/*{ending}"
    return found
