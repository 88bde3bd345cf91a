"""One HTTP request to a model, counted as an error once at most.

It can go wrong in its answer's status or, after that, in the middle of a stream; either way it is
one request and one error.
"""

import threading
from collections.abc import Callable
from contextvars import ContextVar


class RequestErrors:
    """Any thread may call."""

    def __init__(self, on_error: Callable[[], None]) -> None:
        """`on_error` is called once at most."""
        self._on_error = on_error
        self._lock = threading.Lock()
        self._answered = self._broken = self._counted = False

    def answered(self, *, ok: bool) -> None:
        """The status line is decided."""
        self._note(answered=True, broken=not ok)

    def broke(self) -> None:
        """A model failed at it."""
        self._note(broken=True)

    def _note(self, *, answered: bool = False, broken: bool = False) -> None:
        with self._lock:
            self._answered |= answered
            self._broken |= broken
            is_error = self._answered and self._broken and not self._counted
            self._counted |= is_error
        if is_error:
            self._on_error()


current_request: ContextVar[RequestErrors | None] = ContextVar("current_request", default=None)
"""The HTTP request that this thread serves."""
