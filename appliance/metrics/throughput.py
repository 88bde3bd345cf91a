"""Throughput and latency over the last seconds and the last replies."""

import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import median

WINDOW_SECONDS = 10
"""What counts as just now, for speed."""
REPLIES = 20
"""The number of replies in the median time to the first token."""


class Throughput:
    """Tokens and waiting times of all models together. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seconds: deque[tuple[int, int, float]] = deque(maxlen=WINDOW_SECONDS)
        """Second, tokens, and how long a request was waiting for them."""
        self._busy_until = 0.0
        self._firsts: deque[float] = deque(maxlen=REPLIES)

    def first(self, seconds: float) -> None:
        """Record that a reply's first token came after this many seconds."""
        with self._lock:
            self._firsts.append(seconds)

    def further(self, tokens: int, since: float) -> None:
        """Record that a reply has this many tokens more than it had at `since`."""
        with self._lock:
            now = self._clock()
            # Replies that are written together take their time together.
            busy = now - max(since, self._busy_until)
            self._busy_until = now
            second = int(now)
            if self._seconds and self._seconds[-1][0] == second:
                _, before, was_busy = self._seconds.pop()
                tokens, busy = tokens + before, busy + was_busy
            self._seconds.append((second, tokens, busy))

    @property
    def tokens_per_second(self) -> float:
        """For all replies together, while there was one; 0 when there was none."""
        with self._lock:
            since = self._clock() - WINDOW_SECONDS
            counted = [(tokens, busy) for second, tokens, busy in self._seconds if second >= since]
        busy = sum(busy for _, busy in counted)
        return sum(tokens for tokens, _ in counted) / busy if busy > 0 else 0.0

    @property
    def first_token_seconds(self) -> float | None:
        """The median; None: there was no reply yet."""
        with self._lock:
            return median(self._firsts) if self._firsts else None
