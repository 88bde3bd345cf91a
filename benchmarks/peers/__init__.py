"""Other servers, each a module that is run in a process of its own.

    python -m benchmarks.peers.NAME '{"model": …, "cells": …, "slots": …, "threads": …}'

A server prints its address and ends with its standard input. `model`: the file; `cells`: tokens of
context for all slots together; `slots`: replies at the same time; `threads`: of the computation.
"""

import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

MADE = Path(__file__).resolve().parents[2] / "build" / "bench"
"""By `make bench`."""
LLAMA_SERVER = MADE / "llama-server"


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
