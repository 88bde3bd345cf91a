"""Processes of ours that end when their stdin does."""

import contextlib
import subprocess
from typing import IO, cast


def end(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Tell it to end, and kill it if it has not done so in that time; returns when it is gone."""
    with contextlib.suppress(OSError):
        cast(IO[bytes], process.stdin).close()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
