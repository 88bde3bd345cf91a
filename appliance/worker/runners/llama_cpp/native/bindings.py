"""llama-cpp-python's functions of llama.cpp, `lib`, and where llama.cpp's libraries lie.

The one place that knows how the two meet. The package's own loader looks for a library of one
name beside itself, and gives up at the first function that is missing; ours takes what was
installed, and a function that is missing raises when it is called. `interface` says which those
are.

Importing the package itself would load its `Llama` class with NumPy, Jinja and more: a quarter of a
second and 22 MB for every worker, none of which it needs.
"""

import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from appliance.system import llama_libraries
from appliance.worker.runners.base import LoadError

missing: list[str] = []
"""Functions that the bindings know and the library has not."""


class _Library(ctypes.CDLL):
    """A function that is missing raises when it is called."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):
                raise
        missing.append(name)

        def absent(*_: object) -> None:
            raise NotImplementedError(f"this llama.cpp has no {name}")

        setattr(self, name, absent)
        return absent


def _load(lib_base_name: str, base_path: Path) -> _Library:  # noqa: ARG001 - see `libraries`
    """
    Raises:
        LoadError: the library is not there, or is none.
    """
    folder = llama_libraries.folder()
    file = llama_libraries.found().get(lib_base_name)
    if file is None:
        raise LoadError(f"llama.cpp is not installed: {folder} has no library of it")
    if sys.platform == "win32":
        os.add_dll_directory(str(folder))
    with searched():
        try:
            return _Library(str(file))
        except OSError as ex:
            raise LoadError(f"llama.cpp cannot be loaded: {ex}") from ex


@contextmanager
def searched() -> Iterator[None]:
    """While libraries are loaded, the current folder is theirs: some were linked to search it, too,
    and anybody may have put something where this process was started."""
    folder = llama_libraries.folder()
    try:
        before = Path.cwd()
    except FileNotFoundError:  # it was removed meanwhile
        before = folder
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _package() -> ModuleType:
    """The package as its modules need it: with the place where they are, its own code not run."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None:
        raise ModuleNotFoundError("No module named 'llama_cpp'", name="llama_cpp")
    bare = ModuleSpec("llama_cpp", None, is_package=True)
    bare.submodule_search_locations = spec.submodule_search_locations
    return importlib.util.module_from_spec(bare)


sys.modules.setdefault("llama_cpp", _package())

import llama_cpp._ctypes_extensions as _extensions  # noqa: E402

_extensions.load_shared_library = _load

import llama_cpp.llama_cpp as lib  # noqa: E402

__all__ = ["Handle", "lib", "missing", "native", "searched", "tokenize_address"]

Handle = Any
"""A pointer to a native sampler, which the bindings do not distinguish."""


def native(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function that the bindings don't know, of llama.cpp or of what it is made of."""
    library: ctypes.CDLL = lib._lib  # noqa: SLF001 - it has no other name
    function: Any = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return cast(Callable[..., Any], function)


def tokenize_address() -> int:
    """The address of `llama_tokenize`, for native code that calls it directly."""
    library: ctypes.CDLL = lib._lib  # noqa: SLF001 - it has no other name
    return ctypes.cast(library.llama_tokenize, ctypes.c_void_p).value or 0
