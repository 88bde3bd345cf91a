"""Where llama.cpp's libraries are, and which they are. Nothing is loaded here.

They lie together in one folder: llama.cpp itself, what it is made of, and its backends, of which
those for the processor come in variants, one for each set of instructions. llama-cpp-python's
variable names another folder. An add-on has one more backend, in a folder of its own.
"""

import functools
import hashlib
import importlib.util
import os
import re
import sys
from pathlib import Path

FOLDER_VARIABLE = "LLAMA_CPP_LIB_PATH"
FITS = "fits.sha256"
"""In an add-on: the digest of the `ggml-base` that it was made for."""
_LIBRARY = re.compile(
    r"^(?:lib)?(?P<name>[a-z][\w.-]*?)"
    r"(?:\.(?:[a-z]+\.)?v[\d.]+)?"  # as ready-made ones have it: .v0.5.0, .vulkan.v0.5.0
    r"(?:\.\d+)*\.(?:so|dylib|dll)(?:\.\d+)*$"
)
_ALWAYS = ("llama", "ggml", "ggml-base", "ggml-cpu")
_PLAINEST = ("x64", "armv8.0_1", "apple_m1")
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


def plainest() -> str:
    """The variant that asks least of a processor; empty: there is none that is known to."""
    there = variants()
    return next((name for name in _PLAINEST if name in there), "")


def backends(where: Path | None = None) -> dict[str, Path]:
    """The backends for other devices, by what they use: `vulkan`, `cuda`, `metal` …; add-ons'
    among them, unless a folder is named."""
    files = found(where)
    for addon in addons() if where is None else ():
        files |= found(addon)
    inside = _ALWAYS[2:]
    return {
        name.removeprefix("ggml-"): file
        for name, file in files.items()
        if name.startswith("ggml-") and not name.startswith(inside)
    }


def addons() -> list[Path]:
    """Folders with backends that were made for this llama.cpp."""
    places = [folder().with_name("cuda")]
    if getattr(sys, "frozen", False):  # a package of its own, beside the program's folder
        places.append(Path(sys.executable).resolve().parent.with_name("appliance-cuda"))
    base = found().get("ggml-base")
    return [place for place in places if base and _fits(place, base)]


def _fits(addon: Path, base: Path) -> bool:
    try:
        wanted = (addon / FITS).read_text("ascii").strip()
        return wanted == hashlib.sha256(base.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False


@functools.cache
def digest(backend: str = "") -> str:
    """A digest of every byte of the CPU code, or of that backend's; 16 hex digits.

    Raises:
        OSError: a library cannot be read.
    """
    files = [file for name, file in found().items() if name in _ALWAYS]
    files += [backends()[backend]] if backend in backends() else variants().values()
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        total.update(f"{path.name}\0".encode() + content.digest())
    return total.hexdigest()[:16]
