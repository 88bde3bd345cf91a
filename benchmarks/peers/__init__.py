"""Other servers, each a module that is run in a process of its own.

    python -m benchmarks.peers.NAME '{"model": …, "cells": …, "slots": …, "threads": …}'

A server prints its address and ends with its standard input. `model`: the file; `cells`: tokens of
context for all slots together; `slots`: replies at the same time; `threads`: of the computation.
"""

import ctypes
import json
import os
import sys
import sysconfig
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Given:
    """What a server is told; see above."""

    model: str
    cells: int
    slots: int
    threads: int

    def as_json(self) -> str:
        """For the command line."""
        return json.dumps(self.__dict__)


def given() -> Given:
    """From the command line."""
    return Given(**json.loads(sys.argv[1]))


def end_with_input() -> None:
    """Ends this process, whatever it does, when its standard input ends."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def load_backends() -> None:
    """The CPU code of a llama.cpp that was built to choose it at run time."""
    import llama_cpp.llama_cpp as lib

    package = Path(lib.__file__).parent
    load = lib._lib.ggml_backend_load_all_from_path  # noqa: SLF001 - it has no other name
    load.argtypes, load.restype = [ctypes.c_char_p], None
    scripts = Path(sysconfig.get_path("scripts"))
    for folder in (package / "lib", package.parent / "bin", scripts):
        if any(folder.glob("*ggml-cpu-*")):
            load(str(folder).encode())
            return
