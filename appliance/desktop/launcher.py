"""What `appliance` without a verb does: one instance, a service, and a way to show the page."""

import contextlib
import logging
import queue
import subprocess
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, cast

import msgspec

from appliance.desktop import engines
from appliance.desktop.child import CannotStart, ServiceChild
from appliance.desktop.engines import BROWSER, Rung
from appliance.desktop.instance import Instance, claim
from appliance.desktop.memory import FILE, recall, remember
from appliance.desktop.messages import (
    ComeForward,
    Failed,
    FromWindow,
    Prepare,
    Ready,
    Show,
    from_window,
    line,
)
from appliance.desktop.processes import end
from appliance.desktop.service import Service, find

log = logging.getLogger(__name__)

END_SECONDS = 5.0
"""What a window has to close in."""
READY_SECONDS = 8.0
"""What an engine has to draw the page in, until the next way is tried."""

Outcome = Literal["drawn", "failed", "late"]
"""Late is what says nothing about an engine: the machine may have been busy."""


class Desk(msgspec.Struct, frozen=True):
    """Everything that the launcher is told; commands are lists of arguments."""

    folder: Path
    """Where the service keeps `service.json`, and the window what it remembers."""
    storage: Path
    """What may be thrown away."""
    usual_url: str
    serve_command: list[str]
    window_command: list[str]
    """To which the engine's name is added."""
    environment: Mapping[str, str]
    icon: str = ""
    ready_seconds: float = READY_SECONDS


class Launcher:
    """Lives as long as the window, or the browser's service, is wanted."""

    def __init__(self, desk: Desk, say: Callable[[str], None]) -> None:
        """`say` tells the person a line; it matters when there is no window to look at."""
        self._desk = desk
        self._say = say
        self._memory_file = desk.folder / FILE
        self._window: subprocess.Popen[bytes] | None = None
        self._said: queue.SimpleQueue[FromWindow | None] = queue.SimpleQueue()
        """What the window says; None when it is gone, or has to go."""
        self._engines: list[str] = []
        self._shown_in_browser = ""
        self._stopped = threading.Event()

    def run(self) -> int:
        """Open a window, or bring the one that is open forward. Returns the exit code."""
        instance = claim(self._desk.folder)
        if instance is None:
            return 0
        try:
            return self._run(instance)
        finally:
            instance.close()

    def stop(self) -> None:
        """From a signal handler: close the window, and what was started for it."""
        self._stopped.set()
        self._said.put(None)

    def _run(self, instance: Instance) -> int:
        remembered = recall(self._memory_file)
        self._engines = engines.installed()
        rungs = engines.ladder(self._engines, remembered.rung, remembered.failed)
        # The first engine starts while the service is looked for or starts.
        self._window = self._spawn(rungs[0]) if rungs else None
        child, service = None, find(self._desk.folder, self._desk.usual_url)
        try:
            if service is None:
                child, service = self._start_service()
            instance.on_ring(self._come_forward)
            self._show(rungs, service, child)
        except CannotStart as ex:
            self._say(f"appliance: {ex}")
            return 1
        finally:
            self._end_window()
            if child is not None:
                child.end()
        return 0

    def _start_service(self) -> tuple[ServiceChild, Service]:
        desk = self._desk
        child = ServiceChild(desk.serve_command, desk.environment, desk.folder)
        try:
            return child, child.start()
        except CannotStart as ex:
            if "in use" not in str(ex):
                raise
            # A window does not mind the port; programs that use the API are told of it.
            log.warning("%s; another port is taken", ex)
        command = [*desk.serve_command, "--port", "0"]
        child = ServiceChild(command, desk.environment, desk.folder)
        return child, child.start()

    # -- the ladder --------------------------------------------------------------------------------

    def _show(self, rungs: list[Rung], service: Service, child: ServiceChild | None) -> None:
        order = Show(
            url=service.url,
            token=service.token,
            asks_before_closing=child is not None,
        )
        late: list[str] = []
        for rung in rungs:
            process = self._window or self._spawn(rung)
            self._window = process
            outcome = self._shows(process, order)
            if outcome == "drawn":
                if child:
                    child.window_is_drawn()
                self._keep(rung.name, late)
                while self._said.get() is not None:
                    pass
                return
            if self._stopped.is_set() or process.poll() == 0:
                return
            log.warning("no page with %s; the next way is tried", rung.name)
            late += [rung.name] if outcome == "late" else []
            self._end_window()
        self._show_in_browser(service, late)

    def _spawn(self, rung: Rung) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [*self._desk.window_command, rung.engine],
            env={**self._desk.environment, **rung.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        desk = self._desk
        order = Prepare(str(self._memory_file), str(desk.storage), desk.icon)
        _tell(process, line(order))
        return process

    def _shows(self, process: "subprocess.Popen[bytes]", order: Show) -> Outcome:
        """How it went with the page. A window that was closed before has ended with 0."""
        said: queue.SimpleQueue[FromWindow | None] = queue.SimpleQueue()
        self._said = said
        if self._stopped.is_set():  # whoever said so before, said it to another queue
            return "failed"
        threading.Thread(target=_listen, args=(process, said), daemon=True).start()
        _tell(process, line(order))
        deadline = time.monotonic() + self._desk.ready_seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = said.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(message, Ready):
                return "drawn"
            if isinstance(message, Failed):
                log.warning("the window failed: %s", message.why)
            return "failed"
        return "late"

    def _keep(self, rung: str, late: Sequence[str]) -> None:
        """What works here, for the next time; unless a better way was late and no more: then it is
        tried again as if nothing had been."""
        if late:
            log.warning("%s may only have been late, and will be tried again", ", ".join(late))
            return
        kept = recall(self._memory_file)
        failed = tuple(self._engines) if rung == BROWSER else ()
        remember(self._memory_file, msgspec.structs.replace(kept, rung=rung, failed=failed))

    def _show_in_browser(self, service: Service, late: Sequence[str]) -> None:
        self._keep(BROWSER, late)
        self._shown_in_browser = service.url
        self._say(f"No window can be shown here. The appliance is at {service.url}")
        self._open_browser()
        self._stopped.wait()

    def _open_browser(self) -> None:
        threading.Thread(
            target=webbrowser.open, args=(self._shown_in_browser,), daemon=True
        ).start()

    # -- the window that is open -------------------------------------------------------------------

    def _come_forward(self) -> None:
        if self._shown_in_browser:
            self._open_browser()
        elif self._window is not None:
            _tell(self._window, line(ComeForward()))

    def _end_window(self) -> None:
        process, self._window = self._window, None
        if process is not None:
            end(process, END_SECONDS)


def _tell(process: "subprocess.Popen[bytes]", said: bytes) -> None:
    pipe = cast(IO[bytes], process.stdin)
    with contextlib.suppress(OSError, ValueError):
        pipe.write(said)
        pipe.flush()


def _listen(
    process: "subprocess.Popen[bytes]", said: "queue.SimpleQueue[FromWindow | None]"
) -> None:
    for raw in cast(IO[bytes], process.stdout):
        message = from_window(raw)
        if message is not None:
            said.put(message)
    # Its stdout ends a moment before it does.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    said.put(None)
