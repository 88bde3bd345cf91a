"""Where llama.cpp's libraries lie, and which they are. Nothing is loaded here.

They lie together in one folder: llama.cpp itself, what it is made of, and its backends, of which
those for the processor come in variants, one for each set of instructions. llama-cpp-python's
variable names another folder.
"""

import functools
import hashlib
import importlib.util
import os
import re
from pathlib import Path

FOLDER_VARIABLE = "LLAMA_CPP_LIB_PATH"
_LIBRARY = re.compile(
    r"^(?:lib)?(?P<name>[a-z][\w.-]*?)"
    r"(?:\.(?:[a-z]+\.)?v[\d.]+)?"  # as ready-made ones have it: .v0.5.0, .vulkan.v0.5.0
    r"(?:\.\d+)*\.(?:so|dylib|dll)(?:\.\d+)*$"
)
_ALWAYS = ("llama", "ggml", "ggml-base", "ggml-cpu")
_VARIANT = re.compile(r"^ggml-cpu-(?P<name>.+)$")


def folder() -> Path:
    """Where they lie; it need not be there."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).absolute()
    spec = importlib.util.find_spec("llama_cpp")
    places = (spec and spec.submodule_search_locations) or ["llama_cpp"]
    return Path(next(iter(places))) / "lib"


def found(where: Path | None = None) -> dict[str, Path]:
    """All of them by what they are, such as `llama`, `ggml-base`, `ggml-cpu-haswell`."""
    files = sorted((where or folder()).glob("*"))
    named = ((_LIBRARY.match(file.name), file) for file in files)
    return {match["name"]: file for match, file in named if match}


def variants(where: Path | None = None) -> dict[str, Path]:
    """The backends for processors by what they are for, such as `haswell`; none where the library
    has its one inside."""
    named = ((_VARIANT.match(name), file) for name, file in found(where).items())
    return {match["name"]: file for match, file in named if match}


def backends(where: Path | None = None) -> dict[str, Path]:
    """The backends for other devices, by what they use: `vulkan`, `cuda`, `metal` …"""
    inside = _ALWAYS[2:]
    return {
        name.removeprefix("ggml-"): file
        for name, file in found(where).items()
        if name.startswith("ggml-") and not name.startswith(inside)
    }


@functools.cache
def digest(backend: str = "") -> str:
    """Of what computes on processors, every byte of it, or where that backend does; 16 hex digits.

    Raises:
        OSError: a library cannot be read.
    """
    total = hashlib.sha256()
    for name, file in found().items():
        own = name == f"ggml-{backend}" if backend else _VARIANT.match(name)
        if name in _ALWAYS or own:
            with file.open("rb") as library:
                content = hashlib.file_digest(library, "sha256")
            total.update(f"{name}\0".encode() + content.digest())
    return total.hexdigest()[:16]
