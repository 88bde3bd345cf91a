"""Who gets the next slot: everybody's first request before anybody's second. Pure Python."""

from collections import deque
from collections.abc import Iterator
from itertools import count, zip_longest

from appliance.engine.sequence import Sequence

REMEMBERED = 1000
"""Owners without anything waiting of whom it is known when they were last served."""


class Line:
    """Sequences without a slot, in the order in which they will get one.

    Owners take turns, and whoever was served longest ago is next; within an owner's requests, the
    oldest is. What was sent back to wait comes before all others.
    """

    def __init__(self) -> None:
        self._returned: deque[Sequence] = deque()
        self._owners: dict[str, deque[Sequence]] = {}
        self._served: dict[str, int] = {}
        """Counts up with every sequence that got a slot; those served longest ago come first."""
        self._count = count()
        self._order: list[Sequence] | None = None
        """As it stands, until something changes."""

    def add(self, sequence: Sequence) -> None:
        """A sequence begins to wait."""
        self._owners.setdefault(sequence.owner, deque()).append(sequence)
        self._order = None

    def put_back(self, sequence: Sequence) -> None:
        """A sequence lost its slot."""
        self._returned.appendleft(sequence)
        self._order = None

    def served(self, sequence: Sequence) -> None:
        """A sequence gets a slot."""
        self.remove(sequence)
        self._served.pop(sequence.owner, None)
        self._served[sequence.owner] = next(self._count)
        if len(self._served) > REMEMBERED:
            del self._served[next(iter(self._served))]

    def remove(self, sequence: Sequence) -> None:
        """A sequence waits no longer."""
        self._order = None
        if sequence in self._returned:
            self._returned.remove(sequence)
            return
        waiting = self._owners[sequence.owner]
        waiting.remove(sequence)
        if not waiting:
            del self._owners[sequence.owner]

    def __len__(self) -> int:
        return len(self._returned) + sum(map(len, self._owners.values()))

    def __iter__(self) -> Iterator[Sequence]:
        if self._order is None:
            longest_ago = sorted(self._owners, key=lambda owner: self._served.get(owner, -1))
            rounds = zip_longest(*(self._owners[owner] for owner in longest_ago))
            turns = (sequence for one_each in rounds for sequence in one_each if sequence)
            self._order = [*self._returned, *turns]
        return iter(self._order)

    def __contains__(self, sequence: object) -> bool:
        return any(sequence is other for other in self)
