"""A screen that nobody sees, for windows that are opened by tests and measurements."""

import contextlib
import os
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def screen() -> Iterator[str]:
    """One of Xvfb's, with a number that was free; the display's name, such as `:1`."""
    told, tell = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(tell), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=[tell],
        stderr=subprocess.DEVNULL,
    )
    os.close(tell)
    try:
        with os.fdopen(told) as said:
            yield f":{said.readline().strip()}"
    finally:
        server.terminate()
        server.wait(30)
