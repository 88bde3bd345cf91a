"""Which requests may wait for a slot, and which gets the next one: every owner's first request
before any owner's second. Pure Python, for both sides of the engine."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count, zip_longest
from typing import Generic, Protocol, TypeVar

REMEMBERED = 1000
"""Owners without a waiting request whose last turn is remembered."""


def is_full(owners: Sequence[str], owner: str, most: int) -> bool:
    """Whether there is no room for one more request of `owner`.

    Whoever has less than an equal share still finds room beyond `most`, up to twice as much: so
    nobody can fill it up for others.

    Args:
        owners: whose the requests are that have not ended, one entry each.
        owner: whose the new one is.
        most: requests that there is room for.
    """
    if len(owners) < most:
        return False
    share = most // len({*owners, owner})
    return owners.count(owner) >= share or len(owners) >= 2 * most


class HasOwner(Protocol):
    """A request that has an owner."""

    @property
    def owner(self) -> str:
        """Whose it is."""


T = TypeVar("T", bound=HasOwner)


class FairQueue(Generic[T]):
    """Requests without a slot, in the order in which they will get one.

    Owners take turns, and the one served longest ago is next; of an owner's requests, the oldest
    is. A request that was preempted comes before all others.
    """

    def __init__(self) -> None:
        self._preempted: deque[T] = deque()
        self._owners: dict[str, deque[T]] = {}
        self._served: dict[str, int] = {}
        """Counts up with every request that got a slot; those served longest ago come first."""
        self._count = count()
        self._order: list[T] | None = None
        """As it stands, until something changes."""

    def add(self, request: T) -> None:
        """A request begins to wait."""
        self._owners.setdefault(request.owner, deque()).append(request)
        self._order = None

    def put_back(self, request: T) -> None:
        """A request was preempted."""
        self._preempted.appendleft(request)
        self._order = None

    def served(self, request: T) -> None:
        """A request gets a slot."""
        self.remove(request)
        self._served.pop(request.owner, None)
        self._served[request.owner] = next(self._count)
        if len(self._served) > REMEMBERED:
            del self._served[next(iter(self._served))]

    def remove(self, request: T) -> None:
        """A request waits no longer."""
        self._order = None
        if request in self._preempted:
            self._preempted.remove(request)
            return
        waiting = self._owners[request.owner]
        waiting.remove(request)
        if not waiting:
            del self._owners[request.owner]

    def __len__(self) -> int:
        return len(self._preempted) + sum(map(len, self._owners.values()))

    def __iter__(self) -> Iterator[T]:
        if self._order is None:
            longest_ago = sorted(self._owners, key=lambda owner: self._served.get(owner, -1))
            rounds = zip_longest(*(self._owners[owner] for owner in longest_ago))
            turns = (request for one_each in rounds for request in one_each if request)
            self._order = [*self._preempted, *turns]
        return iter(self._order)

    def __contains__(self, request: object) -> bool:
        return any(request is other for other in self)
