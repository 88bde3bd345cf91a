"""The service that the window started: kept alive while the window is open, ended after it."""

import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from appliance.client import discovery
from appliance.desktop.processes import end
from appliance.desktop.service import Service

log = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0
"""Seconds between two starts of a service that dies at once."""
STEADY_SECONDS = 60.0
"""After that, a death counts as the first one again."""
END_SECONDS = 60.0
"""What replies under way and the last writes may take, once it was told to end."""


class CannotStart(Exception):
    """The service ended before it said where it is; the message is its own last line."""


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
        self._process: subprocess.Popen[bytes] | None = None
        self._port = ""
        self._drawn = False

    def start(self) -> Service:
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
            _tell(self._process)

    def end(self) -> None:
        """Have it finish what it does; returns when it is gone."""
        self._ending.set()
        process = self._process
        if process is None:
            return
        end(process, END_SECONDS)
        _close(process)

    def _start(self) -> Service:
        # The port stays the same, so that a page that is open finds the next service.
        port = ["--port", self._port] if self._port else []
        process = subprocess.Popen(
            [*self._command, *port],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # What a terminal's Ctrl-C means is decided here, not by whoever hears it first.
            start_new_session=True,
        )
        last: list[str] = []
        log_reader = threading.Thread(target=_pass_on, args=(process, last), daemon=True)
        log_reader.start()
        said = cast(IO[bytes], process.stdout).readline()
        if b"http" not in said:
            process.kill()
            process.wait()
            _close(process)
            log_reader.join(1)
            raise CannotStart(last[-1] if last else "The service ended without a word.")
        self._process = process
        if self._drawn:
            _tell(process)
        told = discovery.find(self._folder)
        if told is None:
            raise CannotStart("The service ended as soon as it had begun.")
        return Service(told.url, told.token)

    def _watch(self) -> None:
        pause = 0.0
        while True:
            began = time.monotonic()
            process = self._process
            assert process
            # Ended in good order, it was told to: by us or by somebody else.
            if process.wait() == 0 or self._ending.is_set():
                return
            if time.monotonic() - began > STEADY_SECONDS:
                pause = 0.0
            log.warning("the service ended with %s; it is started again", process.returncode)
            if self._ending.wait(pause):
                return
            pause = min(max(2 * pause, 0.5), LONGEST_PAUSE)
            _close(process)
            try:
                self._start()
            except CannotStart as ex:
                log.error("the service does not start: %s", ex)


def _tell(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(OSError, ValueError):  # it is gone, or going
        stdin = cast(IO[bytes], process.stdin)
        stdin.write(b"\n")
        stdin.flush()


def _close(process: "subprocess.Popen[bytes]") -> None:
    """Our ends of what led to it; the log's is closed by who reads it."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what was to be written has no reader left
            cast(IO[bytes], pipe).close()


def _pass_on(process: "subprocess.Popen[bytes]", last: list[str]) -> None:
    """The service's log goes where ours goes; the last line is kept."""
    with cast(IO[bytes], process.stderr) as said:
        for raw in said:
            last[:] = [raw.decode("utf-8", "replace").strip()]
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.buffer.write(raw)
                sys.stderr.flush()
