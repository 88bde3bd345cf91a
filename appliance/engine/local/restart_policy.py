"""When a worker that died is started again, and when its model is given up. Pure."""

import time
from collections import deque
from collections.abc import Sequence

LOAD_ATTEMPTS = 2
"""Workers that may die while loading before the model is given up."""
MAX_DEATHS = 5
DEATHS_SECONDS = 60.0
"""This many deaths in such a short time, without any output in between, are no coincidence."""
BACK_OFF = (0.0, 1.0, 2.0, 4.0)
"""Seconds to wait before a restart, by the number of deaths in the last minute."""


class RestartPolicy:
    """The deaths of one model's workers."""

    def __init__(self, max_deaths: int, back_off: Sequence[float] = BACK_OFF) -> None:
        """`max_deaths`: within DEATHS_SECONDS; then the model is given up."""
        self._back_off = back_off
        self._deaths: deque[float] = deque(maxlen=max_deaths)
        self._failed_loads = 0

    def died(self, reason: str, *, loaded: bool, fruitful: bool = False) -> str:
        """A worker died, before or after it had loaded the model. Why no other one should be
        started; empty: one should. `fruitful`: it had got somewhere, or the cause is known and
        gone, so that what was before doesn't count."""
        if fruitful:
            self._deaths.clear()
        self._failed_loads = 0 if loaded else self._failed_loads + 1
        self._deaths.append(time.monotonic())
        if self._failed_loads >= LOAD_ATTEMPTS:
            return f"its worker ended while loading, {self._failed_loads} times: {reason}"
        number = len(self._deaths)
        if number == self._deaths.maxlen and self._deaths[-1] - self._deaths[0] < DEATHS_SECONDS:
            return f"its worker ended {number} times within a minute: {reason}"
        return ""

    @property
    def wait(self) -> float:
        """Seconds to wait before the next start."""
        now = time.monotonic()
        recent = sum(now - death < DEATHS_SECONDS for death in self._deaths)
        return self._back_off[min(recent, len(self._back_off)) - 1]
