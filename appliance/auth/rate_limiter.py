"""Rate limits: an exact number of requests in any period of one minute.

A limiter remembers when each of the last minute's requests was let in, so there is no edge of a
window at which twice as many get through. Safe from any thread; time is monotonic.
"""

import ipaddress
import math
import threading
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from appliance.auth.keys.records import Key
from appliance.auth.keys.scopes import Caller
from appliance.errors import TooManyRequests

WINDOW_SECONDS = 60.0

Times: TypeAlias = "array[float]"
"""When requests were let in, ascending; 8 bytes each."""


class RateVerdict(msgspec.Struct, frozen=True):
    """The answer to one request."""

    allowed: bool
    limit: int
    """Requests a minute."""
    remaining: int
    """How many more would be let in at once."""
    reset_seconds: int
    """Until all of `limit` are free again, if there are no requests meanwhile."""
    retry_after: int
    """Seconds until the next one is let in; 0 if this one was."""


class RateLimiter:
    """Counts by name: an address, or a key's id.

    Memory is bounded: by the names, of which at most `max_names` are counted apart, and by what was
    let in within the last minute. Names beyond that share a few counts, so that a flood of
    addresses makes newcomers wait for each other, and nobody gets a fresh count by pushing an old
    one out. Take one limiter for keys and one for addresses: then no flood reaches the keys.
    """

    def __init__(
        self,
        *,
        max_names: int = 50_000,
        shared: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        max_names: names that are counted apart.
        shared: counts for those beyond.
        clock: seconds that never go back.
        """
        self._max_names = max_names
        self._clock = clock
        self._lock = threading.Lock()
        self._own: OrderedDict[str, Times] = OrderedDict()
        """When each name's requests of the last minute were let in; the name whose last one is the
        oldest comes first."""
        self._shared = [array("d") for _ in range(shared)]

    def take(self, who: str, limit_per_minute: int) -> RateVerdict:
        """Lets one request of `who` in, or not; one that is not let in does not count.

        Raises:
            ValueError: the limit is less than 1.
        """
        return self._look(who, limit_per_minute, take=True)

    def peek(self, who: str, limit_per_minute: int) -> RateVerdict:
        """What `take` would say, without taking. Raises as `take` does."""
        return self._look(who, limit_per_minute, take=False)

    def __len__(self) -> int:
        """Names that are counted apart."""
        return len(self._own)

    def _look(self, who: str, limit: int, *, take: bool) -> RateVerdict:
        if limit < 1:
            raise ValueError("a limit is 1 or more requests a minute")
        with self._lock:
            now = self._clock()
            self._forget(now)
            times = self._times_of(who, now)
            _drop_old(times, now)
            allowed = len(times) < limit
            if allowed and take:
                times.append(now)
                self._keep(who, times)
            return _verdict(times, limit, now, allowed=allowed)

    def _forget(self, now: float) -> None:
        """Drops names without requests for a minute: each take adds one at most, and two go."""
        for _ in range(2):
            name = next(iter(self._own), None)
            if name is None:
                return
            times = self._own[name]
            if times and times[-1] > now - WINDOW_SECONDS:
                return
            del self._own[name]

    def _times_of(self, who: str, now: float) -> Times:
        own = self._own.get(who)
        if own is not None:
            return own
        shared = self._shared[hash(who) % len(self._shared)]
        _drop_old(shared, now)
        # A shared count that isn't empty may hold this name's own requests: they still count.
        if shared or len(self._own) >= self._max_names:
            return shared
        return array("d")

    def _keep(self, who: str, times: Times) -> None:
        if who in self._own:
            self._own.move_to_end(who)
        elif times is not self._shared[hash(who) % len(self._shared)]:
            self._own[who] = times


def _drop_old(times: Times, now: float) -> None:
    del times[: bisect_right(times, now - WINDOW_SECONDS)]


def _verdict(times: Times, limit: int, now: float, *, allowed: bool) -> RateVerdict:
    # Free again when fewer than `limit` are left; a limit may have been lowered since.
    retry = 0.0 if allowed else times[len(times) - limit] + WINDOW_SECONDS - now
    reset = times[-1] + WINDOW_SECONDS - now if times else 0.0
    return RateVerdict(
        allowed=allowed,
        limit=limit,
        remaining=max(0, limit - len(times)),
        reset_seconds=math.ceil(reset),
        retry_after=max(0 if allowed else 1, math.ceil(retry)),
    )


def name_of_address(address: str) -> str:
    """The name an address is counted under: IPv4 itself, IPv6 its network of 64 bits.

    One household or server has the whole of such a network to choose addresses from. What is not
    an address counts as one name, and so does this machine.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if parsed.is_loopback:
        return "127.0.0.1"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


class BadKeyGuard:
    """Ten wrong keys a minute from one address are called wrong; further ones have to wait.

    A right key comes in whatever else came from its address: behind one address there may be a
    whole office, and nobody guesses 256 bits. Only a key that is short enough to be guessed, which
    the configuration may have, is refused like a wrong one while its address has to wait, or the
    wait would not slow down guessing; where it was right before, it still works.
    """

    def __init__(
        self,
        *,
        limit_per_minute: int = 10,
        max_proven: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        limit_per_minute: wrong keys that an address may try.
        max_proven: pairs of address and short key that are remembered.
        clock: seconds that never go back.
        """
        self._limit = limit_per_minute
        self._bad = RateLimiter(clock=clock)
        self._max_proven = max_proven
        self._lock = threading.Lock()
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    def judge(self, address: str, key: Key | None) -> int:
        """Whether a request with a key may proceed.

        Args:
            address: of the client.
            key: what `Keys.check` found; None for a wrong key.

        Returns:
            0: go on, which for a wrong key means to say that it is wrong. Otherwise the seconds
            until this address may try another one.
        """
        name = name_of_address(address)
        if key is None:
            return self._bad.take(name, self._limit).retry_after
        if not key.guessable:
            return 0
        pair = (name, key.id)
        with self._lock:
            if pair in self._proven:
                self._proven.move_to_end(pair)
                return 0
        wait = self._bad.peek(name, self._limit).retry_after
        if not wait:
            with self._lock:
                self._proven[pair] = None
                if len(self._proven) > self._max_proven:
                    self._proven.popitem(last=False)
        return wait


class RatePolicy:
    """Counts requests by key, and by address where there is no key. Safe from any thread."""

    def __init__(self, default_per_minute: int) -> None:
        """`default_per_minute`: of addresses, and of keys that say nothing else; 0: no limit."""
        self._default = default_per_minute
        self._keys = RateLimiter()
        self._addresses = RateLimiter()

    def take(self, caller: Caller) -> RateVerdict | None:
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

    def left(self, caller: Caller) -> RateVerdict | None:
        """How it stands for a caller, without counting anything; None: nothing limits it."""
        limit, limiter = self._of(caller)
        return limiter.peek(caller.owner, limit) if limit else None

    def _of(self, caller: Caller) -> tuple[int, RateLimiter]:
        limit = self._default if caller.rpm is None else caller.rpm
        return limit, self._keys if caller.key_id else self._addresses
