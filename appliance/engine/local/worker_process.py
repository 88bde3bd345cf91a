"""One worker process from outside: its pipes, its log lines, its end."""

import logging
import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from appliance.engine import protocol
from appliance.engine.protocol import Command, Event
from appliance.system.child_process import ChildProcess

log = logging.getLogger(__name__)

LAST_SECONDS = 0.5
"""Between the end of its pipe and the end of a worker."""


NATIVE_SIGNALS = frozenset(
    getattr(signal, name)
    for name in ("SIGILL", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT")
    if hasattr(signal, name)
)


KILLED = getattr(signal, "SIGKILL", 0)


def signal_name(number: int) -> str:
    """Such as `SIGILL`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class End(msgspec.Struct, frozen=True):
    """How a worker ended."""

    reason: str
    native: bool = False
    """By a signal that native code's mistakes raise."""
    killed: bool = False
    """By somebody, or by the kernel for want of memory."""
    failed: bool = False
    """With an exit code that says so."""


class WorkerProcess:
    """`events` belongs to one thread; everything else is for any thread."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts it; `name`, which may change, is for log lines.

        Raises:
            OSError: it cannot be started.
        """
        self.name = name
        self._last_lines: deque[str] = deque(maxlen=5)
        self._child = ChildProcess(command, environment, on_log=self._log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def events(self) -> Iterator[Event]:
        """Its events, until it is gone.

        Raises:
            ValueError: it sent something that is not of the protocol.
        """
        while events := protocol.read_events(self._child.output):
            yield from events

    def send(self, command: Command) -> None:
        """Write a command. The reader of its events notices when the worker is gone."""
        if not self._child.send(protocol.encode(command)):
            log.debug("the worker of %s takes no commands any more", self.name)

    def can_send(self, seconds: float) -> bool:
        """Whether a command could be written within that time; not if the pipe is full."""
        return self._child.can_send(seconds)

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within that time."""
        return self._child.wait(seconds) is not None

    def close(self) -> End:
        """Make sure that it is gone; how it ended. Belongs to the thread of `events`."""
        self.wait(LAST_SECONDS)
        code = self._child.close()
        how = signal_name(-code) if code < 0 else f"exit code {code}"
        if self._last_lines:
            how += f"; last words: {self._last_lines[-1]}"
        return End(
            how,
            native=-code in NATIVE_SIGNALS,
            killed=-code == KILLED,
            # On Windows the killer of a process chooses its exit code, but none of the system's.
            failed=code >= (0xC0000000 if os.name == "nt" else 1),
        )

    def _log(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()
        level, _, text = line.partition(" ")
        number = logging.getLevelNamesMapping().get(level)
        if number is None:
            number, text = logging.WARNING, line
        self._last_lines.append(text)
        log.log(number, "%s", text, extra={"model": self.name})
