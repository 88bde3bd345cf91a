"""Callers, and the scopes that say what they may do."""

from typing import get_args

import msgspec

from appliance.config.schema import Scope

__all__ = ["SCOPES", "Caller", "Scope", "covers"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each covers those before it."""


def covers(held: Scope | None, needed: Scope) -> bool:
    """Whether who holds one scope may do what needs another."""
    return held is not None and SCOPES.index(held) >= SCOPES.index(needed)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The sender of a request."""

    name: str
    """For people: the key's, or where the request comes from."""
    address: str
    """As rates are counted: an IPv4 address, or the network of an IPv6 address."""
    scope: Scope | None = None
    """None: an unknown caller, who may use what is open to all."""
    key_id: str | None = None
    """The id of the key that was sent, or that the cookie belongs to."""
    rpm: int | None = None
    """Requests a minute of that key; None: what the configuration says, 0: no limit."""
    proxied: str | None = None
    """What says that the request came through a proxy; None: nothing does."""

    @property
    def owner(self) -> str:
        """Whose requests these are, where requests wait: everybody gets the same share."""
        return self.key_id or self.address

    @property
    def key_name(self) -> str:
        """What the key is called; empty where there is none."""
        return self.name if self.key_id else ""

    def may(self, scope: Scope) -> bool:
        """Whether this caller may do what needs `scope`."""
        return covers(self.scope, scope)
