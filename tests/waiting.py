"""Waits for a condition, not for an amount of time."""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], what: str, seconds: float = 90) -> None:
    """Wait until `true()`; fails with the message `what`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
