"""The service that the window started: kept alive while the window is open, ended after it."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.client.http import Client, client_of
from appliance.system.child_process import ChildProcess

log = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0
"""Seconds between two starts of a service that dies at once."""
STEADY_SECONDS = 60.0
"""After that, a death counts as the first one again."""
END_SECONDS = 60.0
"""What replies under way and the last writes may take, once its stdin has ended."""


class CannotStart(Exception):
    """The service ended before it had an address; the message is the last line of its log."""


class ServiceChild:
    """`appliance serve` in a process that ends with this one: its stdin is a pipe that we hold."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        """`folder`: the service's data folder, where it leaves its address and token."""
        self._command = list(command)
        self._environment = dict(environment)
        self._folder = folder
        self._ending = threading.Event()
        self._process: ChildProcess | None = None
        self._port = ""
        self._drawn = False

    def start(self) -> Client:
        """Start it and wait until it listens.

        Raises:
            CannotStart: it does not.
        """
        service = self._start()
        self._port = service.url.rpartition(":")[2]
        threading.Thread(target=self._watch, name="service", daemon=True).start()
        return service

    def window_is_drawn(self) -> None:
        """Let it load its model, for which it takes all cores."""
        self._drawn = True
        if self._process:
            self._process.send(b"\n")

    def end(self) -> None:
        """Have it finish what it does; returns when it is gone."""
        self._ending.set()
        process = self._process
        if process is None:
            return
        process.end(END_SECONDS)
        process.close()

    def _start(self) -> Client:
        # The port stays the same, so that a page that is open finds the next service.
        port = ["--port", self._port] if self._port else []
        process = ChildProcess(
            [*self._command, *port],
            self._environment,
            on_log=_log_as_ours,
            # A terminal's Ctrl-C is handled here, not by the process that gets it first.
            own_session=True,
        )
        if b"http" not in process.output.readline():
            process.close()
            last = process.last_lines
            raise CannotStart(last[-1].strip() if last else "The service ended without a word.")
        self._process = process
        if self._drawn:
            process.send(b"\n")
        service = client_of(self._folder)
        if service is None:
            raise CannotStart("The service ended as soon as it had begun.")
        return service

    def _watch(self) -> None:
        pause = 0.0
        while True:
            began = time.monotonic()
            process = self._process
            assert process
            # It shuts down cleanly when asked to.
            code = process.wait()
            if code == 0 or self._ending.is_set():
                return
            if time.monotonic() - began > STEADY_SECONDS:
                pause = 0.0
            log.warning("the service ended with %s; it is started again", code)
            if self._ending.wait(pause):
                return
            pause = min(max(2 * pause, 0.5), LONGEST_PAUSE)
            process.close()
            try:
                self._start()
            except CannotStart as ex:
                log.error("the service does not start: %s", ex)


def _log_as_ours(line: bytes) -> None:
    """The service's log goes where ours goes."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
