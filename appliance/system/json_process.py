"""A child process that gets one request and answers with lines of JSON.

It ends by itself, or when its stdin does; native code that fails in it costs nothing but itself.
`process_setup.take_request` is its own side.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from appliance.system.child_process import ChildProcess

POLL_SECONDS = 0.05
"""From the wish to stop until the child is gone, at most."""
MAX_LOG_TAIL = 2000
"""Characters."""


class ProcessEnd(NamedTuple):
    """How a child process ended."""

    code: int
    """Its exit code; negative: the signal that ended it."""
    log_tail: str
    """The last lines that it logged."""
    stopped: bool
    """It was no longer wanted."""
    timed_out: bool
    """It took longer than it may."""


def converse(
    command: Sequence[str],
    environment: Mapping[str, str],
    request: bytes,
    on_line: Callable[[bytes], None],
    *,
    seconds: float,
    silence_seconds: float = float("inf"),
    stop: Callable[[], bool] = lambda: False,
) -> ProcessEnd:
    """Start a child, send the request, and read until it ends, `stop` says so, or time is over.

    Args:
        command: program and arguments.
        environment: all that the child sees of one.
        request: the line on its stdin, without its end.
        on_line: gets each line of its stdout.
        seconds: for all of it.
        silence_seconds: from one line to the next.
        stop: called often.

    Raises:
        OSError: it cannot be started.
    """
    child = ChildProcess(command, environment, on_log=lambda line: None)  # noqa: ARG005
    watchdog = _Watchdog(child, seconds, silence_seconds, stop)
    try:
        child.send(request + b"\n")
        for line in child.output:
            watchdog.last_line = time.monotonic()
            on_line(line)
        child.wait(1)  # so that its exit code is its own
    finally:
        code = child.close()
        watchdog.close()
    tail = "\n".join(child.last_lines)[-MAX_LOG_TAIL:]
    return ProcessEnd(code, tail, watchdog.stopped, watchdog.timed_out)


class _Watchdog:
    """Kills a child in time, from a thread of its own."""

    def __init__(
        self,
        child: ChildProcess,
        seconds: float,
        silence_seconds: float,
        stop: Callable[[], bool],
    ) -> None:
        self.last_line = time.monotonic()
        """When it came."""
        self.stopped = self.timed_out = False
        self._child = child
        self._deadline = self.last_line + seconds
        self._silence = silence_seconds
        self._stop = stop
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            now = time.monotonic()
            self.stopped = self._stop()
            self.timed_out = now > self._deadline or now - self.last_line > self._silence
            if self.stopped or self.timed_out:
                self._child.kill()
                return
