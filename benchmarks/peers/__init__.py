"""Other servers, each a module that runs in its own process.

    python -m benchmarks.peers.NAME '{"model": …, "cells": …, "slots": …, "threads": …}'

A server prints its address and ends with its standard input. `model`: the file; `cells`: tokens of
context for all slots together; `slots`: parallel replies; `threads`: for the computation.
"""

import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

MADE = Path(__file__).resolve().parents[2] / "build" / "bench"
"""Made by `make bench`."""
LLAMA_SERVER = MADE / "llama-server"


@dataclass(frozen=True)
class ServerOptions:
    """The options of a server; see above."""

    model: str
    cells: int
    slots: int
    threads: int

    def as_json(self) -> str:
        """The argument for the command line."""
        return json.dumps(self.__dict__)


def read_options() -> ServerOptions:
    """The options on the command line."""
    return ServerOptions(**json.loads(sys.argv[1]))


def end_with_input() -> None:
    """Ends this process when its standard input ends, whatever it is doing."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
