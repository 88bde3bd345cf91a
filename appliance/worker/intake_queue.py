"""Threads that take turns, piece by piece: long tasks don't delay the others."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class Cancelled(Exception):
    """Nobody wants the result any more."""


@dataclass(eq=False, slots=True)
class Ticket:
    """A place in the line."""

    id: int
    cancelled: bool = False
    began: float | None = None
    """When the piece of work under way began, by the monotonic clock; None: it waits."""


class IntakeQueue:
    """One thread works at a time, in the order in which they joined the line."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[Ticket] = deque()
        self._tickets: set[Ticket] = set()
        self._mine = threading.local()

    def join(self, id: int) -> Ticket:
        """A place at the end of the line, for `turn`."""
        ticket = Ticket(id)
        with self._changed:
            self._tickets.add(ticket)
            self._line.append(ticket)
        return ticket

    @contextmanager
    def turn(self, ticket: Ticket) -> Iterator[None]:
        """The calling thread's turn.

        Raises:
            Cancelled: before it.
        """
        self._mine.ticket = ticket
        try:
            self._wait(ticket)
            yield
        finally:
            with self._changed:
                self._leave(ticket)
                self._tickets.discard(ticket)

    def pass_on(self) -> None:
        """Between two pieces of work: let those go first who wait.

        Raises:
            Cancelled: there is no need to go on.
        """
        ticket: Ticket = self._mine.ticket
        with self._changed:
            if len(self._line) > 1:
                self._leave(ticket)
                self._line.append(ticket)
        self._wait(ticket)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Work on without a turn, while others have theirs.

        Raises:
            Cancelled: there is no need to go on.
        """
        ticket: Ticket = self._mine.ticket
        with self._changed:
            self._leave(ticket)
        ticket.began = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._line.append(ticket)
            self._wait(ticket)

    def cancel(self, ticket: Ticket) -> None:
        """It ends as soon as its piece of work does."""
        with self._changed:
            ticket.cancelled = True
            self._changed.notify_all()

    def longest(self) -> tuple[int, float] | None:
        """The piece of work that has gone on for longest: whose it is, and seconds."""
        now = time.monotonic()
        with self._changed:
            found = [(now - began, it.id) for it in self._tickets if (began := it.began)]
        return max(found)[::-1] if found else None

    def _wait(self, ticket: Ticket) -> None:
        ticket.began = None
        with self._changed:
            self._changed.wait_for(lambda: ticket.cancelled or self._line[0] is ticket)
        if ticket.cancelled:
            raise Cancelled
        ticket.began = time.monotonic()

    def _leave(self, ticket: Ticket) -> None:
        if ticket in self._line:
            self._line.remove(ticket)
        ticket.began = None
        self._changed.notify_all()
