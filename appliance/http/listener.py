"""One address that the server listens on, and which connections it admits."""

import errno
import ipaddress
import logging
import socket
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from appliance.errors import ConfigError
from appliance.http.channel import Channel
from appliance.http.event_loop import EventLoop
from appliance.http.fairness import is_admitted, removed_for
from appliance.system.ports import holder_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

ACCEPT_PAUSE_SECONDS = 1.0

SocketAddress = tuple[int, int, int, Any]
"""Family, type and protocol of a socket, and the address it is bound to."""


class Listener(TcpWSGIServer):
    """One address: accepts connections (loop thread)."""

    logger = log
    active_channels: dict[int, Channel]  # type: ignore[assignment]  # the stub says `HTTPChannel`
    effective_host: str
    effective_port: str

    def __init__(
        self,
        app: "WSGIApplication",
        address: SocketAddress,
        adjustments: Adjustments,
        pool: ThreadedTaskDispatcher,
        loop: EventLoop,
        channels: dict[int, Channel],
    ) -> None:
        """`channels` gets every connection, by file descriptor; all listeners share it.

        Raises:
            OSError: the address cannot be bound.
        """
        self._loop = loop
        self._paused_until = 0.0
        super().__init__(app, map=loop.map, dispatcher=pool, adj=adjustments, sockinfo=address)
        self.active_channels = channels

    def set_reuse_addr(self) -> None:
        """Let a port be bound again right after a restart, but never by two processes at once."""
        if sys.platform == "win32":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            super().set_reuse_addr()

    def readable(self) -> bool:
        """Whether to accept. waitress would do its maintenance here, by a clock that can be set."""
        return (
            self.accepting
            and time.monotonic() >= self._paused_until
            and (
                len(self.active_channels) < self._loop.limits.connections
                or any(channel.removable for channel in self.active_channels.values())
            )
        )

    def handle_accept(self) -> None:
        """A client has connected."""
        try:
            accepted = self.accept()
        except OSError as error:
            # Out of file descriptors, most likely. The socket stays readable: trying again at once
            # would keep a core busy.
            log.warning("no connection can be accepted: %s", error)
            self._paused_until = time.monotonic() + ACCEPT_PAUSE_SECONDS
            return
        if accepted is None:
            return
        sock, address = accepted
        client_group = client_group_of(address[0])
        if not self._has_room(client_group):
            log.debug("refused a connection from %s: there are too many", address[0])
            sock.close()
            return
        try:
            self.set_socket_options(sock)
        except OSError:  # the client has gone already
            sock.close()
            return
        Channel(self, sock, address, self._loop, client_group)

    def _has_room(self, client_group: str | None) -> bool:
        """Whether one more may come, perhaps in the place of one that has nothing to do."""
        channels = [it for it in self.active_channels.values() if not it.leaving]
        limits = self._loop.limits
        if is_admitted(client_group, [it.client_group for it in channels], limits):
            return True
        removed = removed_for(client_group, channels, limits)
        if removed is None:
            return False
        log.debug("closed a connection from %s for a newer one", removed.addr[0])
        removed.leave()
        return True

    def pull_trigger(self) -> None:
        """Wake the loop; this listener may be closed while its connections are still open."""
        self._loop.wake()


def client_group_of(address: str) -> str | None:
    """The group that a client is counted in, by its address; None: it is on this machine."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.is_loopback:
        return None
    # A host with one IPv6 address has a whole network of them.
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


def resolve(host: str, port: int) -> Iterator[SocketAddress]:
    """Every address of a host.

    Raises:
        OSError: it has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "not a name") from error
    for family, kind, protocol, _, address in dict.fromkeys(found):
        yield family, kind, protocol, address


def address_error(error: OSError, host: str, port: int) -> ConfigError:
    """Why an address cannot be listened on, and which setting is at fault."""
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        by = f" by {holder}" if holder else ""
        return ConfigError(f"port {port} of {host} is already in use{by}", param="server.port")
    if error.errno == errno.EACCES:
        return ConfigError(f"this user may not listen on port {port}", param="server.port")
    return ConfigError(f"cannot listen on {host}: {error.strerror}", param="server.host")
