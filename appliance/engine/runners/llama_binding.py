"""llama-cpp-python's functions of llama.cpp, `lib`, and of its package nothing else.

Importing the package itself loads its `Llama` class with NumPy, Jinja and more: a quarter of a
second and 22 MB for every worker, none of which it needs.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def _package() -> ModuleType:
    """The package as its modules need it: with the place where they are, its own code not run."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None:
        raise ModuleNotFoundError("No module named 'llama_cpp'", name="llama_cpp")
    bare = ModuleSpec("llama_cpp", None, is_package=True)
    bare.submodule_search_locations = spec.submodule_search_locations
    return importlib.util.module_from_spec(bare)


sys.modules.setdefault("llama_cpp", _package())

import llama_cpp.llama_cpp as lib  # noqa: E402
from llama_cpp.llama_grammar import json_schema_to_gbnf  # noqa: E402

__all__ = ["Handle", "json_schema_to_gbnf", "lib"]

Handle = Any
"""A pointer to a native sampler, which the bindings do not tell from others."""
