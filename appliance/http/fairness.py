"""Which connections are closed when they use too much memory, or too many are open. Pure.

Clients share both by groups: an address, or the network of an IPv6 address; this machine is one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

from appliance.http.event_loop import ServerLimits


class Connection(Protocol):
    """A connection, as far as that goes."""

    client_group: str | None
    """See `listener.client_group_of`."""
    known: bool
    """A request on it had a good key."""
    waiting_since: float
    """Since when its client has been expected to do something; seconds of a monotonic clock."""

    @property
    def held(self) -> int:
        """Bytes that it keeps in memory: of what arrives, and of what was not read yet."""

    @property
    def removable(self) -> bool:
        """It may go for another one: nobody has shown a good key on it, and nothing is being
        answered."""


C = TypeVar("C", bound=Connection)


def is_admitted(group: str | None, present: Collection[str | None], limits: ServerLimits) -> bool:
    """Whether there is room for one more of `group` beside those that are `present`."""
    if group is None:
        return len(present) < limits.connections
    room = limits.connections - limits.connections_kept
    return len(present) < room and not _has_its_share(group, present, limits)


def removed_for(group: str | None, connections: Iterable[C], limits: ServerLimits) -> C | None:
    """The connection that makes room for one more of `group`, where there is none; None: all of
    them have more right to stay.

    It is the one whose client has been silent for the longest. So idle connections of whoever
    shows no key take no place from somebody who is about to; a client that has used up its own
    group's share makes room in that.
    """
    present = list(connections)
    candidates = [one for one in present if one.removable]
    if group is not None and _has_its_share(group, [one.client_group for one in present], limits):
        candidates = [one for one in candidates if one.client_group == group]
    # Programs on this machine come last: they have places of their own.
    return min(
        candidates, key=lambda one: (one.client_group is None, one.waiting_since), default=None
    )


def too_much(connections: Iterable[C], most: int) -> list[C]:
    """The connections that have to go so that all others hold `most` bytes at most.

    One after the other, the largest of whichever group holds most: who takes little loses nothing
    to who takes much, however many connections that one has.
    """
    held = {one: one.held for one in connections}
    total = sum(held.values())
    if total <= most:
        return []
    groups: dict[str | None, list[C]] = defaultdict(list)
    for one in sorted(held, key=lambda one: (held[one], not one.known)):
        groups[one.client_group].append(one)
    sums = {group: sum(held[one] for one in ones) for group, ones in groups.items()}
    gone = []
    while total > most:
        group = max(sums, key=lambda group: sums[group])
        largest = groups[group].pop()
        gone.append(largest)
        sums[group] -= held[largest]
        total -= held[largest]
    return gone


def _has_its_share(group: str, present: Collection[str | None], limits: ServerLimits) -> bool:
    return sum(other == group for other in present) >= limits.connections_per_address
