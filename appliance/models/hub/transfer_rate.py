"""How fast something has been growing of late."""

import threading
import time
from collections import deque

SECONDS = 5.0
"""The time that counts."""


class TransferRate:
    """Told how much there is, tells how fast it grows. Thread-safe."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def reset(self, size: int) -> None:
        """It begins, or goes on after a pause, with so many bytes."""
        with self._lock:
            self._seen.clear()
            self._seen.append((time.monotonic(), size))

    def at(self, size: int) -> int:
        """Bytes a second, now that there are so many."""
        now = time.monotonic()
        with self._lock:
            while len(self._seen) > 1 and self._seen[1][0] < now - SECONDS:
                self._seen.popleft()
            began, before = self._seen[0] if self._seen else (now, size)
            if not self._seen or now - self._seen[-1][0] > 0.2:
                self._seen.append((now, size))
        return max(0, round((size - before) / (now - began))) if now > began else 0
