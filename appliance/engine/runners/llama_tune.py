"""The child process of `engine.tune`: a request on stdin, what came of it on stdout.

Ends when its stdin does, in the middle of a measurement too.
"""

import contextlib
import logging
import os
import sys
import threading
from typing import BinaryIO

import msgspec

from appliance.engine.runners import llama_library
from appliance.engine.runners.base import LoadError
from appliance.engine.runners.llama_tuner import Tuner, measured
from appliance.engine.tune_protocol import CannotLoad, Measure, Request, Told


def tell(pipe: BinaryIO, told: Told) -> None:
    """Write one line; ends the process when nobody reads any more."""
    try:
        pipe.write(msgspec.json.encode(told) + b"\n")
        pipe.flush()
    except OSError:
        os._exit(0)


def _end_with(commands: BinaryIO) -> None:
    commands.read()
    os._exit(0)


def main() -> int:
    """Entry of the process: a request on stdin, lines on stdout, log lines on stderr."""
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what native code prints must not get among the lines
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s", level=logging.ERROR)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")
    request = msgspec.json.decode(commands.readline(), type=Request | Measure)
    threading.Thread(target=_end_with, args=(commands,), daemon=True).start()
    try:
        llama_library.start(request.variant)
        if isinstance(request, Measure):
            tell(events, measured(request))
        else:
            Tuner(request, lambda told: tell(events, told)).run()
    except LoadError as ex:
        tell(events, CannotLoad(str(ex)))
        return 1
    return 0
