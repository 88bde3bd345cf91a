"""The `Host` and `Origin` that a request may have. Pure; safe from any thread.

Both lists are exact, on every address that is listened on, but for patterns of desktop apps'
origins. A browser lets any page send requests to this machine: the page's origin reveals it, and
the host reveals a name that was made to point here.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Literal

from appliance.config.origins import AllowedOrigin
from appliance.errors import WrongHost, WrongOrigin

RequestSource = Literal["program", "own page", "listed page", "any page"]
"""Who sent a request: no web page, or one of the appliance's own, of an origin in
`security.allowed_origins`, or of any other that `*` stands for there."""

Local = tuple[str, int]
"""Address and port of this end of a connection."""

ANY = "*"
_HOST = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


_SHOWN = re.compile(r"[a-z][a-z0-9+.-]{1,30}://[a-z0-9_.:\[\]-]{1,100}")


class OriginPolicy:
    """The two lists."""

    def __init__(
        self,
        *,
        host: str,
        allowed_hosts: Sequence[str] = (),
        allowed_origins: Sequence[str] = (),
        auth: bool,
    ) -> None:
        """
        Args:
            host: what the configuration has the server listen on.
            allowed_hosts: further names, which may have a port of their own. `*` is any one, and
                means nothing without `auth`: a page whose name was made to point here has no key,
                and no cookie of another name's.
            allowed_origins: of other pages; `app://*` is any of a scheme that no web page has, and
                `http://localhost:*` any port of this machine. `*` is any one, and means nothing
                without `auth`.
            auth: callers show a key.
        """
        self._further = frozenset(map(str.lower, allowed_hosts)) - {ANY}
        self._names = self._further if _address(host) else self._further | {host.lower()}
        self._origins = [AllowedOrigin(it) for it in allowed_origins if it != ANY]
        self._any = auth and ANY in allowed_origins
        self._any_host = auth and ANY in allowed_hosts

    def check(
        self, method: str, header: Callable[[str], str | None], local: Local
    ) -> RequestSource:
        """Who sent a request.

        Args:
            method: of the request.
            header: gives a header's value, by its name in capitals with `_` for `-`.
            local: this end of the connection.

        Raises:
            WrongHost: it is meant for another host.
            WrongOrigin: its page may not ask.
        """
        host = (header("HOST") or "").lower()
        if host not in self._hosts(local) and not (self._any_host and _HOST.fullmatch(host)):
            raise WrongHost(
                "This request names a host that the appliance doesn't go by. Its names are those"
                " in security.allowed_hosts, and the address that the request came to."
            )
        origin = header("ORIGIN")
        if origin is None:
            self._check_unnamed(method, header)
            return "program"
        origin = origin.lower()
        if origin in (f"http://{host}", f"https://{host}"):
            return "own page"
        if any(it.matches(origin) for it in self._origins):
            return "listed page"
        if self._any:
            return "any page"
        shown = origin if _SHOWN.fullmatch(origin) else "this origin"
        raise WrongOrigin(
            f"Web pages of {shown} may not use the appliance. If this is a page or an app of yours,"
            " add its origin to security.allowed_origins in the configuration, and restart."
        )

    def _check_unnamed(self, method: str, header: Callable[[str], str | None]) -> None:
        """Images and scripts of other pages come without an origin, but browsers say so.

        A link of another page may lead here; its forms may send nothing.
        """
        site = (header("SEC_FETCH_SITE") or "none").lower()
        if site in ("none", "same-origin"):
            return
        navigates = (header("SEC_FETCH_MODE") or "").lower() == "navigate"
        if navigates and method in ("GET", "HEAD"):
            return
        raise WrongOrigin(
            "Other web pages may link to the appliance, but neither load anything from it nor send"
            " anything to it."
        )

    def _hosts(self, local: Local) -> set[str]:
        address, port = local
        ip = _address(address)
        names = set(self._names)  # 0.0.0.0 is none: browsers reach this machine by it
        if ip is not None:
            names.add(f"[{ip}]" if ip.version == 6 else str(ip))
            if ip.is_loopback:
                names |= {"localhost", "127.0.0.1", "[::1]"}
        hosts = {f"{name}:{port}" for name in names} | self._further
        return hosts | names if port == 80 else hosts


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip
