"""A process that this one starts and talks to over pipes, and that ends when its stdin does."""

import contextlib
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO, BinaryIO, Literal, cast

import psutil

LAST_LINES = 20
"""The last lines of its log, to explain why it ended."""
CHECK_SECONDS = 0.05
"""Between two checks of a process that takes long, at least."""


class ChildProcess:
    """`output` belongs to one thread; everything else is for any thread."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        on_log: Callable[[bytes], None] | None = None,
        own_session: bool = False,
    ) -> None:
        """Start it.

        Args:
            command: program and arguments.
            environment: all that it sees of one; None: this process's own.
            on_log: gets each line of its stderr, on a thread of its own; None: its stderr is ours.
            own_session: a terminal's Ctrl-C does not reach it.

        Raises:
            OSError: it cannot be started.
        """
        self._on_log = on_log
        self._sending = threading.Lock()
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        """What it logged last, if its log is collected."""
        self._popen = subprocess.Popen(
            list(command),
            env=None if environment is None else dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if on_log else None,
            start_new_session=own_session,
        )
        self._log_reader: threading.Thread | None = None
        if on_log:
            self._log_reader = threading.Thread(target=self._read_log, name="log", daemon=True)
            self._log_reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def output(self) -> BinaryIO:
        """Its stdout, as far as it was not read."""
        return cast(BinaryIO, self._popen.stdout)

    def send(self, message: bytes) -> bool:
        """Write all of it to its stdin; whether the process was still reading it."""
        pipe = cast(IO[bytes], self._popen.stdin)
        with self._sending:
            if pipe.closed:
                return False
            try:
                pipe.write(message)
                pipe.flush()
            except OSError:
                return False
        return True

    def can_send(self, seconds: float) -> bool:
        """Whether a message could be written within that time; a full pipe says no."""
        free = self._sending.acquire(timeout=seconds)
        if free:
            self._sending.release()
        return free

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code, a signal's number negative; None: it is there still after that time.

        Args:
            seconds: None: however long it takes.
        """
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once; it may be gone already."""
        self._popen.kill()

    def end(self, seconds: float) -> int:
        """End its stdin, and kill it if it is there still after that time; its exit code."""
        self._close(self._popen.stdin)
        if self.wait(seconds) is None:
            self.kill()
        return self._popen.wait()

    def close(self) -> int:
        """Kill it if it is there still, and close what led to it; its exit code. Belongs to the
        thread of `output`."""
        self.kill()
        code = self._popen.wait()
        if self._log_reader:
            self._log_reader.join(1)  # a grandchild may keep its stderr open
        self._close(self._popen.stdin)
        self._close(self._popen.stdout)
        return code

    def _close(self, pipe: IO[bytes] | None) -> None:
        with self._sending, contextlib.suppress(OSError):  # what was to be written has no reader
            cast(IO[bytes], pipe).close()

    def _read_log(self) -> None:
        on_log = self._on_log
        assert on_log
        with cast(IO[bytes], self._popen.stderr) as stream:
            for line in stream:
                self.last_lines.append(line.decode("utf-8", "replace").rstrip())
                on_log(line)


class ProcessAlarm(threading.Thread):
    """Kills a process that takes too much of a processor, or gets none."""

    def __init__(self, process: ChildProcess, limit: float, patience: float) -> None:
        """
        Args:
            process: to watch.
            limit: seconds of a processor.
            patience: seconds by the clock after which the machine counts as too busy.
        """
        super().__init__(name="alarm", daemon=True)
        self._limit = limit
        self._patience = patience
        self.why: Literal["too costly", "starved"] | None = None
        """Why it was killed."""
        self._process = process
        self._over = threading.Event()

    def run(self) -> None:
        """Until it is over."""
        with contextlib.suppress(psutil.Error):  # it may be gone already
            watched = psutil.Process(self._process.pid)
            before, began = _processor_seconds(watched), time.monotonic()
            left = self._limit
            while not self._over.wait(max(left, CHECK_SECONDS)):
                left = self._limit - (_processor_seconds(watched) - before)
                if left <= 0:
                    self.why = "too costly"
                elif time.monotonic() - began >= self._patience:
                    self.why = "starved"
                if self.why:
                    self._process.kill()
                    return

    def end(self) -> None:
        """There is an answer, or will be none."""
        self._over.set()


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
