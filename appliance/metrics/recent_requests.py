"""The last requests to models, by caller: figures alone, no text, and nothing of it on the disk."""

import threading
import time
from collections import OrderedDict, deque

import msgspec

MOST_REQUESTS = 100
"""Of one caller."""
MOST_CALLERS = 200


class RecentRequest(msgspec.Struct, kw_only=True):
    """One request to a model."""

    id: str
    """As `X-Request-Id` and the log have it."""
    route: str
    """Empty: no HTTP request of its own, as for a line of a batch."""
    model: str
    """Empty: it was refused before one was found."""
    began: int
    """Milliseconds since 1970."""
    end: str | None = None
    """A finish reason, the code of an error, or the status of a refusal; null: it is running."""
    prompt_tokens: int = 0
    """As far as the prompt was read."""
    cached_tokens: int = 0
    completion_tokens: int = 0
    first_token_ms: float | None = None
    """Null: there was none."""
    duration_ms: float | None = None
    """Null: it is running."""


class RecentRequests:
    """The newest ones of each caller. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: OrderedDict[str, deque[RecentRequest]] = OrderedDict()

    def begin(self, owner: str, id: str, route: str, model: str) -> RecentRequest:
        """Add one; whoever serves it sets its figures."""
        made = RecentRequest(id=id, route=route, model=model, began=int(time.time() * 1000))
        with self._lock:
            self._of.setdefault(owner, deque(maxlen=MOST_REQUESTS)).append(made)
            self._of.move_to_end(owner)
            if len(self._of) > MOST_CALLERS:
                self._of.popitem(last=False)
        return made

    def refuse(self, owner: str, id: str, route: str, status: int, seconds: float) -> None:
        """Add one that reached no model, with its HTTP status."""
        made = self.begin(owner, id, route, "")
        made.end, made.duration_ms = str(status), round(seconds * 1000, 1)
        made.began -= int(seconds * 1000)

    def of(self, owner: str) -> list[RecentRequest]:
        """A caller's, the newest first."""
        with self._lock:
            return list(reversed(self._of.get(owner, ())))
