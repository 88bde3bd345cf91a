"""One address that the server listens on: who is let in, and who is in the way."""

import errno
import ipaddress
import logging
import socket
import sys
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from appliance.errors import ConfigError
from appliance.http.channel import Channel
from appliance.http.event_loop import Loop, ServerLimits
from appliance.system.ports import holder_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

ACCEPT_PAUSE_SECONDS = 1.0

Place = tuple[int, int, int, Any]
"""Family, type and protocol of a socket, and what it is bound to."""


class Listener(TcpWSGIServer):
    """One address: accepts connections (loop thread)."""

    logger = log
    active_channels: dict[int, Channel]  # type: ignore[assignment]  # the stub says `HTTPChannel`
    effective_host: str
    effective_port: str

    def __init__(
        self,
        app: "WSGIApplication",
        place: Place,
        adjustments: Adjustments,
        pool: ThreadedTaskDispatcher,
        loop: Loop,
        channels: dict[int, Channel],
    ) -> None:
        """`channels` gets every connection, by file number; all listeners share it.

        Raises:
            OSError: the address cannot be had.
        """
        self._loop = loop
        self._paused_until = 0.0
        super().__init__(app, map=loop.map, dispatcher=pool, adj=adjustments, sockinfo=place)
        self.active_channels = channels

    def set_reuse_addr(self) -> None:
        """Let a port be had again at once after a restart, but never by two at a time."""
        if sys.platform == "win32":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            super().set_reuse_addr()

    def readable(self) -> bool:
        """Whether to accept. Waitress would do its upkeep here, by a clock that can be set."""
        return (
            self.accepting
            and len(self.active_channels) < self._loop.limits.connections
            and time.monotonic() >= self._paused_until
        )

    def handle_accept(self) -> None:
        """Somebody has connected."""
        try:
            accepted = self.accept()
        except OSError as error:
            # Out of file numbers, most likely. The queue stays readable: to ask again at once would
            # keep a core busy.
            log.warning("no connection can be accepted: %s", error)
            self._paused_until = time.monotonic() + ACCEPT_PAUSE_SECONDS
            return
        if accepted is None:
            return
        sock, address = accepted
        origin = origin_of(address[0])
        present = [channel.origin for channel in self.active_channels.values()]
        if not is_admitted(origin, present, self._loop.limits):
            log.debug("a connection from %s is one too many", address[0])
            sock.close()
            return
        try:
            self.set_socket_options(sock)
        except OSError:  # it has gone already
            sock.close()
            return
        Channel(self, sock, address, self._loop, origin)

    def pull_trigger(self) -> None:
        """Have the loop look again; this listener may be closed while its connections are not."""
        self._loop.wake()


def origin_of(address: str) -> str | None:
    """Whose connection one from `address` counts as; None: this machine's own."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.is_loopback:
        return None
    # Who has one IPv6 address has a network of them.
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def is_admitted(origin: str | None, present: Collection[str | None], limits: ServerLimits) -> bool:
    """Whether there is room for one more of `origin`, beside those that are `present`."""
    if origin is None:
        return len(present) < limits.connections
    room = limits.connections - limits.connections_kept
    same = sum(other == origin for other in present)
    return len(present) < room and same < limits.connections_per_address


def resolve(host: str, port: int) -> Iterator[Place]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "not a name") from error
    for family, kind, protocol, _, address in dict.fromkeys(found):
        yield family, kind, protocol, address


def explain(error: OSError, host: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        by = f" by {holder}" if holder else ""
        return ConfigError(f"port {port} of {host} is in use already{by}", param="server.port")
    if error.errno == errno.EACCES:
        return ConfigError(f"port {port} is not for this user to listen on", param="server.port")
    return ConfigError(f"{host} cannot be listened on: {error.strerror}", param="server.host")
