"""A process that is told one thing and tells what comes of it, line by line.

It ends by itself, or when its stdin does; what it does natively costs nothing but itself.
"""

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, NamedTuple, cast

LOOK_SECONDS = 0.05
"""From being told to stop until the child is gone, at most."""
LAST_WORDS = 2000
"""Characters."""


class End(NamedTuple):
    """How it ended."""

    code: int
    """Its exit code; negative: the signal that ended it."""
    words: str
    """The last lines that it logged."""
    stopped: bool
    """It was no longer wanted."""
    late: bool
    """It had no time left."""


def converse(
    command: Sequence[str],
    environment: Mapping[str, str],
    request: bytes,
    listen: Callable[[bytes], None],
    *,
    seconds: float,
    silence_seconds: float = float("inf"),
    stop: Callable[[], bool] = lambda: False,
) -> End:
    """Listen to a child until it ends, `stop` says so, or its time is over.

    Args:
        request: the line on its stdin, without its end.
        listen: gets each line of its stdout.
        seconds: for all of it.
        silence_seconds: from one line to the next.
        stop: asked often.

    Raises:
        OSError: it cannot be started.
    """
    child = subprocess.Popen(
        list(command),
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    watch = _Watch(child, seconds, silence_seconds, stop)
    words: list[str] = []
    listener = threading.Thread(
        target=_read_words, args=(cast(IO[bytes], child.stderr), words), daemon=True
    )
    listener.start()
    commands = cast(IO[bytes], child.stdin)
    try:
        with contextlib.suppress(OSError):
            commands.write(request + b"\n")
            commands.flush()
        for line in cast(IO[bytes], child.stdout):
            watch.heard = time.monotonic()
            listen(line)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(1)  # so that it says itself how it ended
    finally:
        child.kill()
        code = child.wait()
        watch.end()
        listener.join(1)
        for pipe in (commands, child.stdout, child.stderr):
            with contextlib.suppress(OSError):
                cast(IO[bytes], pipe).close()
    return End(code, "".join(words)[-LAST_WORDS:], watch.stopped, watch.late)


class _Watch:
    """Ends a child in time, from a thread of its own."""

    def __init__(
        self,
        child: "subprocess.Popen[bytes]",
        seconds: float,
        silence_seconds: float,
        stop: Callable[[], bool],
    ) -> None:
        self.heard = time.monotonic()
        """When the last line came."""
        self.stopped = self.late = False
        self._child = child
        self._deadline = self.heard + seconds
        self._silence = silence_seconds
        self._stop = stop
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            self.stopped = self._stop()
            self.late = now > self._deadline or now - self.heard > self._silence
            if self.stopped or self.late:
                self._child.kill()
                return


def _read_words(stream: Iterable[bytes], words: list[str]) -> None:
    for line in stream:
        words[:] = [*words[-20:], line.decode("utf-8", "replace")]
