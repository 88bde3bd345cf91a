"""One HTTP exchange, breakable from any thread."""

import logging
import socket
import threading
from collections.abc import Mapping
from typing import Any

from appliance.errors import Unavailable

log = logging.getLogger(__name__)


class UpstreamConnection:
    """One exchange with the upstream, or several one after the other.

    Closing a response does not wake the thread that reads it; shutting its socket down does, and
    the upstream notices at once. The socket is duplicated, so that what is shut down is never
    another one that has been given the same number since.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._aborted = False

    def abort(self) -> None:
        """A thread that waits for the upstream gets an error; a later attempt fails at once."""
        with self._lock:
            self._aborted = True
            self._shut_down()

    def close(self) -> None:
        """The exchange is over. Without this the upstream never sees the connection's end."""
        with self._lock:
            self._release()

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """httpx's `trace` extension: called at each step of the connection, on its thread.

        Raises:
            Unavailable: it was aborted, and there is no connection yet.
        """
        if name.endswith("connect_tcp.started") and self._aborted:
            raise Unavailable("the request was broken off")
        if name.endswith("connect_tcp.complete"):
            connected = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._release()
                self._socket = socket.fromfd(connected.fileno(), connected.family, connected.type)
                if self._aborted:
                    self._shut_down()

    def _shut_down(self) -> None:
        if self._socket:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("the upstream has hung up already")

    def _release(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None
