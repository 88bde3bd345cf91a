"""Notifies the service manager of the appliance's state: ready, loading, healthy, stopping.

One thread. It speaks systemd's notification protocol, which is a line of text to a Unix socket, and
sends nothing without a socket. The watchdog is fed only if clients are served: an HTTP response
and a row from the database.
"""

import logging
import socket
import time
from collections.abc import Callable, Mapping

import msgspec

from appliance.client.http import Client
from appliance.errors import StoreError
from appliance.system.periodic_thread import PeriodicThread

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
"""From one look at a model that loads to the next."""
MORE_SECONDS = 30
"""What a model that loads is given, again and again, before the service manager gives up on it."""
WARM_SECONDS = 10.0
"""A model whose loading has not begun by then is left unloaded on purpose."""
ANSWER_SECONDS = 10.0
LONG_SERVED_SECONDS = 600.0
"""A service that has answered for that long is good enough, even if its model failed."""


class NotifySocket:
    """The service manager's socket, and how often it expects a watchdog message."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """`environ`: what systemd puts into a service's environment; it may be nothing."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        period = environ.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(period) / 1e6 if period.isdigit() else 0.0

    def notify(self, **state: object) -> None:
        """Send it, as `READY=1`, `STATUS=…`; that it did not arrive is only logged."""
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in state.items())
        address = self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_manager:
                to_manager.sendto(
                    text.encode(), "\0" + address[1:] if address[0] == "@" else address
                )
        except OSError as ex:
            log.warning("the service manager was not reached: %s", ex)


class ModelState(msgspec.Struct, frozen=True):
    """The state of the default model."""

    name: str
    status: str
    detail: str = ""


class SystemdNotifier:
    """Sends notifications from `start` to `stop`."""

    def __init__(
        self,
        manager: NotifySocket,
        *,
        address: str,
        model: Callable[[], ModelState],
        read_database: Callable[[], None],
        on_ready: Callable[[], None],
    ) -> None:
        """
        Args:
            manager: who is notified.
            address: where the appliance serves.
            model: how the default model is now.
            read_database: reads a row; raises StoreError if it can't.
            on_ready: called once, when the appliance has shown that it works.
        """
        self._manager = manager
        self._client = Client(address, timeout=ANSWER_SECONDS)
        self._model = model
        self._read_database = read_database
        self._on_ready = on_ready
        self._thread = PeriodicThread("watch", self._look, seconds=LOOK_SECONDS)
        self._began = self._next_feed = self._next_extension = 0.0
        self._proven = False
        """It was ready, or served for long."""
        self._reported = ""
        """The model's status that the service manager knows."""

    def start(self) -> None:
        """Begin to look."""
        self._began = self._next_feed = self._next_extension = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Notify that it is stopping, and of nothing more."""
        self._thread.stop()
        self._manager.notify(STOPPING=1, STATUS="Finishing replies")

    def _look(self) -> None:
        now = time.monotonic()
        model = self._model()
        if model.status == "unloaded" and now - self._began < WARM_SECONDS:
            return
        if model.status != self._reported:
            self._reported = model.status
            self._notify_state(model)
        if model.status == "loading" and now >= self._next_extension:
            self._next_extension = now + MORE_SECONDS / 3
            self._manager.notify(EXTEND_TIMEOUT_USEC=MORE_SECONDS * 1_000_000)
        long = now - self._began > LONG_SERVED_SECONDS
        if not self._proven and (model.status == "ready" or long):
            self._proven = True
            self._thread.seconds = 1.0
            self._on_ready()
        if self._manager.watchdog_seconds and now >= self._next_feed:
            self._next_feed = now + self._manager.watchdog_seconds / 3
            if self._is_healthy():
                self._manager.notify(WATCHDOG=1)

    def _notify_state(self, model: ModelState) -> None:
        status = f"{model.name}: {model.status} {model.detail}".strip()
        if model.status == "loading":
            self._manager.notify(STATUS=status)
        else:
            # Also when it failed: other models, chats and settings are there all the same.
            self._manager.notify(READY=1, STATUS=status)

    def _is_healthy(self) -> bool:
        try:
            status = self._client.request("GET", "/health").status
            self._read_database()
        except (OSError, StoreError) as ex:
            log.warning("not healthy: %s", ex)
            return False
        if status >= 400:
            log.warning("not healthy: /health answers %d", status)
        return status < 400
