"""How many requests a caller has a minute."""

from appliance.auth.keys.scopes import Caller
from appliance.auth.rate_limiter import RateLimiter, Verdict
from appliance.errors import TooManyRequests


class Rates:
    """Counts requests by key, and by address where there is no key. Safe from any thread."""

    def __init__(self, default_per_minute: int) -> None:
        """`default_per_minute`: of addresses, and of keys that say nothing else; 0: no limit."""
        self._default = default_per_minute
        self._keys = RateLimiter()
        self._addresses = RateLimiter()

    def take(self, caller: Caller) -> Verdict | None:
        """Counts one request of a caller; None: nothing limits this caller.

        Raises:
            TooManyRequests: it was one too many, and does not count.
        """
        limit, limiter = self._of(caller)
        verdict = limiter.take(caller.owner, limit) if limit else None
        if verdict and not verdict.allowed:
            raise TooManyRequests(
                f"{limit} requests a minute are allowed. Wait {verdict.retry_after} seconds.",
                retry_after=verdict.retry_after,
            )
        return verdict

    def left(self, caller: Caller) -> Verdict | None:
        """How it stands for a caller, without counting anything; None: nothing limits it."""
        limit, limiter = self._of(caller)
        return limiter.peek(caller.owner, limit) if limit else None

    def _of(self, caller: Caller) -> tuple[int, RateLimiter]:
        limit = self._default if caller.rpm is None else caller.rpm
        return limit, self._keys if caller.key_id else self._addresses
