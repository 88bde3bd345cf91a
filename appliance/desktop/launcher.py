"""`appliance` without a command: one instance, a service, and a way to show the page."""

import logging
import queue
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from appliance.client.http import Client, client_of
from appliance.desktop import webview_backends
from appliance.desktop.child import CannotStart, ServiceChild
from appliance.desktop.instance import Instance, claim
from appliance.desktop.messages import (
    ComeForward,
    FromWindow,
    PageDrawn,
    Prepare,
    Show,
    WindowFailed,
    from_window,
    line,
)
from appliance.desktop.webview_backends import BROWSER, Backend
from appliance.desktop.window_state import FILE, load_state, save_state
from appliance.system.child_process import ChildProcess
from appliance.system.ports import listener_may_be_trusted

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
END_SECONDS = 5.0
"""What a window has to close in."""
READY_SECONDS = 8.0
"""What an engine has to draw the page in, until the next way is tried."""

ShowOutcome = Literal["drawn", "failed", "late"]
"""Late is what says nothing about an engine: the machine may have been busy."""


class LauncherSettings(msgspec.Struct, frozen=True):
    """All that the launcher has to know; commands are lists of arguments."""

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

    def __init__(self, settings: LauncherSettings, print_line: Callable[[str], None]) -> None:
        """`print_line` is for people; it matters when there is no window to look at."""
        self._settings = settings
        self._print_line = print_line
        self._state_file = settings.folder / FILE
        self._window: ChildProcess | None = None
        self._messages: queue.SimpleQueue[FromWindow | None] = queue.SimpleQueue()
        """The window's messages; None when it has ended, or must end."""
        self._engines: list[str] = []
        self._shown_in_browser = ""
        self._stopped = threading.Event()

    def run(self) -> int:
        """Open a window, or bring the one that is open forward. Returns the exit code."""
        instance = claim(self._settings.folder)
        if instance is None:
            return 0
        try:
            return self._run(instance)
        finally:
            instance.close()

    def stop(self) -> None:
        """From a signal handler: close the window, and what was started for it."""
        self._stopped.set()
        self._messages.put(None)

    def _run(self, instance: Instance) -> int:
        state = load_state(self._state_file)
        self._engines = webview_backends.installed()
        backends = webview_backends.fallback_order(self._engines, state.backend, state.failed)
        # The first engine starts while the service is looked for or starts.
        self._window = self._spawn(backends[0]) if backends else None
        child, service = None, self._find_service()
        try:
            if service is None:
                child, service = self._start_service()
            instance.on_activate(self._come_forward)
            self._show(backends, service, child)
        except CannotStart as ex:
            self._print_line(f"appliance: {ex}")
            return 1
        finally:
            self._end_window()
            if child is not None:
                child.end()
        return 0

    def _find_service(self) -> Client | None:
        """The service already running: this user's, or the system's at the default address.

        Not another user's, who would receive everything typed into the window.
        """
        found = [client_of(self._settings.folder, timeout=ANSWER_SECONDS)]
        usual = self._settings.usual_url
        if listener_may_be_trusted(urlsplit(usual).port or 80):
            found.append(Client(usual, timeout=ANSWER_SECONDS))
        return next((one for one in found if one and one.is_appliance()), None)

    def _start_service(self) -> tuple[ServiceChild, Client]:
        settings = self._settings
        child = ServiceChild(settings.serve_command, settings.environment, settings.folder)
        try:
            return child, child.start()
        except CannotStart as ex:
            if "in use" not in str(ex):
                raise
            # A window does not mind the port; programs that use the API find it in the log.
            log.warning("%s; another port is taken", ex)
        command = [*settings.serve_command, "--port", "0"]
        child = ServiceChild(command, settings.environment, settings.folder)
        return child, child.start()

    # -- one backend after the other ---------------------------------------------------------------

    def _show(self, backends: list[Backend], service: Client, child: ServiceChild | None) -> None:
        order = Show(
            url=service.url,
            token=service.token,
            asks_before_closing=child is not None,
        )
        late: list[str] = []
        for backend in backends:
            process = self._window or self._spawn(backend)
            self._window = process
            outcome = self._shows(process, order)
            if outcome == "drawn":
                if child:
                    child.window_is_drawn()
                self._keep(backend.name, late)
                while self._messages.get() is not None:
                    pass
                return
            if self._stopped.is_set() or process.wait(0) == 0:
                return
            log.warning("no page with %s; the next way is tried", backend.name)
            late += [backend.name] if outcome == "late" else []
            self._end_window()
        self._show_in_browser(service, late)

    def _spawn(self, backend: Backend) -> ChildProcess:
        process = ChildProcess(
            [*self._settings.window_command, backend.engine],
            {**self._settings.environment, **backend.variables},
            own_session=True,
        )
        settings = self._settings
        order = Prepare(str(self._state_file), str(settings.storage), settings.icon)
        process.send(line(order))
        return process

    def _shows(self, process: ChildProcess, order: Show) -> ShowOutcome:
        """How it went with the page. A window that was closed before has ended with 0."""
        messages: queue.SimpleQueue[FromWindow | None] = queue.SimpleQueue()
        self._messages = messages
        if self._stopped.is_set():  # before, its end went to another queue
            return "failed"
        threading.Thread(target=_listen, args=(process, messages), daemon=True).start()
        process.send(line(order))
        deadline = time.monotonic() + self._settings.ready_seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = messages.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(message, PageDrawn):
                return "drawn"
            if isinstance(message, WindowFailed):
                log.warning("the window failed: %s", message.why)
            return "failed"
        return "late"

    def _keep(self, backend: str, late: Sequence[str]) -> None:
        """What works here, for the next time; unless a better way was late and no more: then it is
        tried again as if nothing had been."""
        if late:
            log.warning("%s may only have been late, and will be tried again", ", ".join(late))
            return
        kept = load_state(self._state_file)
        failed = tuple(self._engines) if backend == BROWSER else ()
        save_state(self._state_file, msgspec.structs.replace(kept, backend=backend, failed=failed))

    def _show_in_browser(self, service: Client, late: Sequence[str]) -> None:
        self._keep(BROWSER, late)
        self._shown_in_browser = service.url
        self._print_line(f"No window can be shown here. The appliance is at {service.url}")
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
            self._window.send(line(ComeForward()))

    def _end_window(self) -> None:
        process, self._window = self._window, None
        if process is not None:
            process.end(END_SECONDS)


def _listen(process: ChildProcess, messages: "queue.SimpleQueue[FromWindow | None]") -> None:
    for raw in process.output:
        message = from_window(raw)
        if message is not None:
            messages.put(message)
    # Its stdout ends a moment before it does.
    process.wait(END_SECONDS)
    messages.put(None)
