"""Ids that sort by the time of their making: version 7 of RFC 9562."""

import secrets
import threading
import uuid
from collections.abc import Callable

_RESERVED = {".", "..", "import"}
"""What an address takes for something else."""


def addressable(some_id: str) -> bool:
    """Whether an id can stand in an address as it is, so that it can be opened and deleted."""
    plain = some_id.isascii() and some_id.isprintable() and not set(some_id) & set(" /?#%")
    return bool(some_id) and plain and some_id not in _RESERVED


_TAIL_BITS = 74
"""What version 7 leaves free below the time: 12 bits before the variant and 62 after it."""


class TimeOrderedIds:
    """Makes ids such as `0198c0de-7a3b-7c4d-9e5f-0123456789ab`, from any thread.

    Those of one maker are unique and ascend as text, also within a millisecond and when the clock
    is set back. Those of two makers differ by 73 random bits a millisecond.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        """`clock` gives Unix milliseconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._time = -1
        self._tail = 0

    def __call__(self) -> str:
        """The next id."""
        with self._lock:
            now = self._clock()
            if now > self._time:
                self._time = now
                # The top bit stays free, so that steps within this millisecond cannot overflow.
                self._tail = secrets.randbits(_TAIL_BITS - 1)
            else:
                self._tail += 1 + secrets.randbits(32)
            time, tail = self._time, self._tail
        version, variant = 0x7, 0b10
        high, low = tail >> 62, tail & ((1 << 62) - 1)
        return str(uuid.UUID(int=time << 80 | version << 76 | high << 64 | variant << 62 | low))
