"""How busy the processor is, and how much of it the appliance takes."""

import threading
import time

import msgspec
import psutil

SHORTEST_SECONDS = 0.5
"""Between two readings; who asks sooner gets the last figures."""


class ProcessorLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of all the machine's threads together, 0 … 1, since the figures were last read."""

    threads: int
    used: float
    """By all programs, the appliance included."""
    appliance: float
    """By its own processes."""


class ProcessorMeter:
    """Reads it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = psutil.Process()
        self._threads = psutil.cpu_count() or 1
        self._at, self._busy, self._ours = time.monotonic(), _busy_seconds(), self._own_seconds()
        self._last = ProcessorLoad(threads=self._threads, used=0.0, appliance=0.0)

    def load(self) -> ProcessorLoad:
        """Since the call before, or since this object was made."""
        with self._lock:
            now = time.monotonic()
            could = (now - self._at) * self._threads
            if could < SHORTEST_SECONDS * self._threads:
                return self._last
            busy, ours = _busy_seconds(), self._own_seconds()
            # A process that ended takes its seconds along, so that less may be counted than before.
            own = min(1.0, max(0.0, (ours - self._ours) / could))
            used = min(1.0, max(own, (busy - self._busy) / could))
            self._at, self._busy, self._ours = now, busy, ours
            self._last = ProcessorLoad(
                threads=self._threads, used=round(used, 3), appliance=round(own, 3)
            )
            return self._last

    def _own_seconds(self) -> float:
        seconds = 0.0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            seconds += times.user + times.system
        return seconds


def _busy_seconds() -> float:
    """Of all processors, since the machine started."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts guests' time in `user` as well.
    return float(sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0))
