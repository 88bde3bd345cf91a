"""The event loop: the limits of all connections, and the one thread that watches their sockets."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from waitress import wasyncore
from waitress.trigger import trigger

from appliance.errors import ApplianceError
from appliance.http.stream_writer import StreamWriter
from appliance.http.uploads import Uploads

log = logging.getLogger(__name__)


Admit = Callable[[str, Mapping[str, str], tuple[str, int]], ApplianceError | None]
"""Returns what is wrong with a request, if anything, given its method, its headers (names in
capitals with `_` for `-`) and the address and port of this end. Called on the loop thread, before
there is a body."""


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The resources that clients may use. Times are in seconds, sizes in bytes."""

    body: int = 8 * 1024 * 1024
    held: int = 128 * 1024 * 1024
    """Bytes in all connections together: requests and messages that are incomplete or unanswered,
    and responses that were not read. Beyond that, those who hold most are cut."""
    heavy: int = 4
    """Requests that run at once of those whose answers may be large."""
    headers: int = 32 * 1024
    threads: int = 16
    """Pool threads, and so requests that run at once; a parked stream needs none."""
    connections: int = 1000
    connections_kept: int = 64
    """How many of those are reserved for clients on this machine."""
    connections_per_address: int = 256
    """Except from this machine; an IPv6 address counts with the whole of its /64."""
    header_timeout: float = 15.0
    """From the first byte of a request to the end of its headers."""
    request_timeout: float = 30.0
    """From the first byte of a request to its last one."""
    idle_timeout: float = 75.0
    """Before the first request, and between two."""
    send_timeout: float = 60.0
    """How long a client may read nothing of what is waiting for it."""
    backlog: int = 256 * 1024
    """Bytes that a client may leave unread: beyond that a stream is cut, and any other response
    waits."""
    keep_alive_seconds: float = 15.0
    """Silence after which a stream sends its keep-alive."""
    shutdown_grace_seconds: float = 30.0
    """How long requests and streams have to finish once the server drains."""


class EventLoop:
    """The thread that watches the sockets, as others see it, and the stream writer beside it."""

    def __init__(self, limits: ServerLimits, admit: Admit | None = None) -> None:
        """Nothing runs yet: the thread that calls `run_once` is the loop thread."""
        self.limits = limits
        self.admit = admit
        self.uploads: Uploads | None = None
        """None: no body may be larger than others."""
        self.stream_writer = StreamWriter(
            backlog=limits.backlog, keep_alive_seconds=limits.keep_alive_seconds
        )
        self.heavy = threading.BoundedSemaphore(limits.heavy)
        self.draining = False
        """Requests that are running finish; new ones are refused."""
        self.held_grew: Callable[[], None] = lambda: None
        """Called on the loop thread, after connections may have come to hold more."""
        self.held_much = False
        """Connections have held much since it was last set to False."""
        self._will_look = False
        self.map: dict[Any, Any] = {}
        """waitress's dispatchers by file descriptor; for the loop thread alone."""
        self._calls: deque[Callable[[], object]] = deque()
        self._trigger = trigger(self.map)
        # A write to a closed trigger would end up in whichever file has its descriptor by then.
        # Reentrant, since a signal handler may wake the loop while its own thread is in `wake` or
        # `close`.
        self._trigger_lock = threading.RLock()
        self._open = True

    def run_once(self, timeout: float) -> None:
        """Wait for events, for up to `timeout` seconds, and handle them."""
        wasyncore.loop(timeout, use_poll=True, map=self.map, count=1)
        self._make_calls()

    def call_soon(self, call: Callable[[], object]) -> None:
        """Call a function on the loop thread. For any thread."""
        self._calls.append(call)
        self.wake()

    def look_at_held(self) -> None:
        """A connection may hold more: have `held_grew` called soon. For any thread."""
        self.held_much = True
        if not self._will_look:
            self._will_look = True
            self.call_soon(self._look)

    def _look(self) -> None:
        self._will_look = False
        self.held_grew()

    def wake(self) -> None:
        """Wake a waiting `run_once`. For any thread, and for signal handlers."""
        with self._trigger_lock:
            if self._open:
                self._trigger.pull_trigger()

    def close(self) -> None:
        """`run_once` will not be called again."""
        self._make_calls()
        with self._trigger_lock:
            if self._open:
                self._open = False
                wasyncore.close_all(self.map)

    def _make_calls(self) -> None:
        while self._calls:
            guarded(self._calls.popleft())


def guarded(call: Callable[[], object]) -> None:
    """Call a function and log its exceptions: the loop thread has to survive them."""
    try:
        call()
    except Exception:
        log.exception("a callback failed on the server's loop")
