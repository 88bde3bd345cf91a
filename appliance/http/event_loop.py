"""What all connections share: their limits, and the one thread that watches their sockets."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from waitress import wasyncore
from waitress.trigger import trigger

from appliance.errors import ApplianceError
from appliance.http.stream_writer import Pump

log = logging.getLogger(__name__)


Admit = Callable[[Mapping[str, str], tuple[str, int]], ApplianceError | None]
"""Says what is wrong with a request, if anything, by its headers (names in capitals with `_` for
`-`) and by address and port of this end. Asked on the loop thread, before there is a body."""


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may cost. Times are in seconds, sizes in bytes."""

    body: int = 8 * 1024 * 1024
    headers: int = 32 * 1024
    threads: int = 16
    """Requests that run together; a parked stream needs none of them."""
    connections: int = 1000
    connections_kept: int = 64
    """Of those, how many only this machine itself may have."""
    connections_per_address: int = 256
    """Not of this machine's own; an IPv6 address counts with all of its /64."""
    header_timeout: float = 15.0
    """From the first byte of a request to the end of its headers."""
    request_timeout: float = 30.0
    """From the first byte of a request to its last one."""
    idle_timeout: float = 75.0
    """Before the first request, and between two."""
    send_timeout: float = 60.0
    """How long a client may take nothing of what there is for it."""
    backlog: int = 256 * 1024
    """What a client may leave unread: beyond it a stream is cut, and another response waits."""
    keep_alive_seconds: float = 15.0
    """Silence after which a stream's keep-alive is sent."""
    shutdown_grace_seconds: float = 30.0
    """What requests and streams have to finish in once the server drains."""


class Loop:
    """The thread that watches the sockets, as others see it, and the pump beside it."""

    def __init__(self, limits: ServerLimits, admit: Admit | None = None) -> None:
        """Nothing runs yet: whoever calls `turn` is the loop thread."""
        self.limits = limits
        self.admit = admit
        self.pump = Pump(backlog=limits.backlog, keep_alive_seconds=limits.keep_alive_seconds)
        self.draining = False
        """Requests under way finish, others are refused."""
        self.map: dict[Any, Any] = {}
        """Who is asked about its socket, by file number; the loop thread's own."""
        self._calls: deque[Callable[[], object]] = deque()
        self._trigger = trigger(self.map)
        # A write to a closed trigger would end in whatever file has its number by then. Reentrant,
        # since a signal handler may wake the loop while its own thread is in `wake` or `close`.
        self._trigger_lock = threading.RLock()
        self._open = True

    def turn(self, timeout: float) -> None:
        """Wait for events, `timeout` seconds at most, and handle them."""
        wasyncore.loop(timeout, use_poll=True, map=self.map, count=1)
        self._make_calls()

    def call_soon(self, call: Callable[[], object]) -> None:
        """Have something called on the loop thread. Any thread may ask."""
        self._calls.append(call)
        self.wake()

    def wake(self) -> None:
        """End a `turn` that waits. Any thread may ask, and so may a signal handler."""
        with self._trigger_lock:
            if self._open:
                self._trigger.pull_trigger()

    def close(self) -> None:
        """There will be no further turn."""
        self._make_calls()
        with self._trigger_lock:
            if self._open:
                self._open = False
                wasyncore.close_all(self.map)

    def _make_calls(self) -> None:
        while self._calls:
            guarded(self._calls.popleft())


def guarded(call: Callable[[], object]) -> None:
    """Call what was left with the loop thread, which has to outlive others' mistakes."""
    try:
        call()
    except Exception:
        log.exception("a callback failed on the server's loop")
