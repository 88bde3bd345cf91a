"""Authentication: from the credentials of a request to its caller, however a key is sent.

On this machine, where no key is required, programs and pages need none.
"""

import ipaddress
import logging
from collections.abc import Iterable, Sequence

import msgspec

from appliance.auth.keys.records import Key
from appliance.auth.keys.registry import Keys
from appliance.auth.keys.scopes import Caller
from appliance.auth.login_sessions import PAGE, LoginSessions
from appliance.auth.origin_policy import RequestSource
from appliance.auth.rate_limiter import BadKeyGuard, name_of_address
from appliance.errors import TooManyBadKeys, Unauthorized, VaultUnavailable

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a request has to say of who sent it."""

    peer: str
    """The address at the other end of the connection."""
    sender: RequestSource = "program"
    keys: tuple[str, ...] = ()
    """From the headers, and of a WebSocket from the query."""
    cookie: str | None = None
    forwarded: str | None = None
    """`X-Forwarded-For`"""
    proxied: str | None = None
    """Evidence that it came through a proxy, from `sign_of_proxy`."""

    def __repr__(self) -> str:
        return f"Credentials(peer={self.peer!r}, sender={self.sender!r})"


class Authenticator:
    """Finds out who sent a request. Safe from any thread."""

    def __init__(
        self,
        keys: Keys,
        logins: LoginSessions,
        *,
        auth: bool,
        insecure_lan: bool = False,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        """
        Args:
            keys: those that are good.
            logins: whom cookies stand for.
            auth: everybody shows a key; otherwise programs and pages on this machine need none.
            insecure_lan: nor do others, unless `auth`.
            trusted_proxies: addresses and networks whose `X-Forwarded-For` is believed.
        """
        self._keys = keys
        self._logins = logins
        self._auth = auth
        self._insecure_lan = insecure_lan
        self._proxies = [ipaddress.ip_network(text, strict=False) for text in trusted_proxies]
        self._bad = BadKeyGuard()

    @property
    def auth(self) -> bool:
        """Everybody shows a key."""
        return self._auth

    def authenticate(self, credentials: Credentials) -> Caller:
        """Who sent the request; a caller without a scope if there are no credentials.

        Raises:
            Unauthorized: the credentials are not good.
            TooManyBadKeys: nor were many others from this address.
            VaultUnavailable: it cannot be checked.
        """
        address = self._address(credentials)
        caller = Caller(name=address, address=name_of_address(address), proxied=credentials.proxied)
        if not self._auth:
            return self._without_key(caller)
        if len(set(credentials.keys)) > 1:
            raise Unauthorized("Two different keys were shown.")
        if credentials.keys:
            login = self._logins.find(credentials.keys[0])
            if login and login.who == PAGE:
                return msgspec.structs.replace(caller, name="page", scope="admin")
            return _with(caller, self.checked(credentials.keys[0], address))
        # A browser sends cookies automatically, whichever page makes the request.
        if credentials.cookie and credentials.sender in ("program", "own page"):
            return self._by_cookie(caller, credentials.cookie)
        return caller

    def checked(self, secret: str, address: str) -> Key:
        """The key of a secret. Raises as `authenticate` does."""
        trouble: VaultUnavailable | None = None
        key = None
        try:
            key = self._keys.check(secret)
        except VaultUnavailable as error:
            trouble = error
        wait = self._bad.judge(address, key)
        if wait:
            raise TooManyBadKeys(
                f"Too many wrong keys came from this address. Wait {wait} seconds.",
                retry_after=wait,
            )
        if trouble:
            raise trouble
        if key is None:
            log.warning("a wrong key was shown", extra={"client": address})
            raise Unauthorized("This key is not good: it is unknown, revoked or has expired.")
        return key

    def is_good(self, key_id: str) -> bool:
        """Whether a key that was good a moment ago still is."""
        return self._keys.usable(key_id) is not None

    def log_in(self, key_id: str) -> str:
        """A cookie for a key that was just shown; it ends with the key."""
        return self._logins.log_in(key_id, self._keys.binding(key_id) or "")

    # -- inside ------------------------------------------------------------------------------------

    def _without_key(self, caller: Caller) -> Caller:
        # What came through a proxy is not believed to be from here, whatever it says of itself:
        # many proxies pass on an `X-Forwarded-For` that their client made up.
        if caller.proxied is None and _is_loopback(caller.name):
            return msgspec.structs.replace(caller, name="this machine", scope="admin")
        return msgspec.structs.replace(caller, scope="chat") if self._insecure_lan else caller

    def _by_cookie(self, caller: Caller, cookie: str) -> Caller:
        login = self._logins.find(cookie)
        if login is None:
            return caller
        if login.who == PAGE:
            return msgspec.structs.replace(caller, name="page", scope="admin")
        key = self._keys.usable(login.who)
        if key is None or self._keys.binding(login.who) != login.bound:
            return caller
        return _with(caller, key)

    def _address(self, credentials: Credentials) -> str:
        """Whose address it is, as far as proxies that are trusted say."""
        hops = [hop.strip() for hop in (credentials.forwarded or "").split(",") if hop.strip()]
        address = credentials.peer
        while hops and self._is_proxy(address):
            address = hops.pop()
        return address

    def _is_proxy(self, address: str) -> bool:
        return _is_in(address, self._proxies)


def _with(caller: Caller, key: Key) -> Caller:
    return msgspec.structs.replace(
        caller, name=key.name, scope=key.scope, key_id=key.id, rpm=key.rpm
    )


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip


def _is_loopback(address: str) -> bool:
    ip = _parsed(address)
    return ip is not None and ip.is_loopback


def _is_in(address: str, networks: Iterable[Network]) -> bool:
    ip = _parsed(address)
    return ip is not None and any(ip in network for network in networks)
