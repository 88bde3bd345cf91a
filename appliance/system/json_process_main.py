"""A child process's side of `system.json_process`: a request on stdin, lines of JSON on stdout."""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

import msgspec

Tell = Callable[[msgspec.Struct], None]
"""Writes one line; ends the process when nobody reads any more."""


def begin() -> tuple[bytes, Tell]:
    """The request, and what tells what comes of it. Logs go to stderr, and what native code prints
    as well; the process ends when its stdin does, in the middle of what it does, too, and is the
    first to go when memory runs out."""
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s", level=logging.ERROR)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")
    request = commands.readline()
    threading.Thread(target=_end_with, args=(commands,), daemon=True).start()

    def tell(told: msgspec.Struct) -> None:
        try:
            events.write(msgspec.json.encode(told) + b"\n")
            events.flush()
        except OSError:
            os._exit(0)

    return request, tell


def _end_with(commands: BinaryIO) -> None:
    commands.read()
    os._exit(0)
