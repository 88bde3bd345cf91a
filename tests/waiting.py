"""Waiting for what should happen, not for an amount of time."""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], what: str, seconds: float = 90) -> None:
    """Until `true()`; fails with `what`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
