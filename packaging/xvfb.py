"""A virtual display for windows that tests and measurements open."""

import contextlib
import os
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def screen() -> Iterator[str]:
    """Starts Xvfb with a free display number; yields the display's name, such as `:1`."""
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as output:
            yield f":{output.readline().strip()}"
    finally:
        server.terminate()
        server.wait(30)
