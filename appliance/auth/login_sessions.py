"""Browsers that are logged in: the sessions behind their cookies, while this process runs.

A cookie is 256 bits of chance and stands for a key, or for the window and the page that were opened
from here. Only hashes are kept, so comparing takes no care. Safe from any thread.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from secrets import token_urlsafe

from appliance.auth.keys.records import digest_of

TICKET_SECONDS = 300.0
LOGIN_SECONDS = 30 * 86400.0
MOST = 1000
"""Logins and tickets that are remembered; the oldest are forgotten first."""

PAGE = "page"
"""Stands where a key's id would, for whoever was at this machine when the page was opened."""


class LoginSessions:
    """Tickets, each good for one login, and logins."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self.launch_token = token_urlsafe(32)
        """Lets the page in as long as this process runs: for programs of whoever started it."""
        self._launch = digest_of(self.launch_token)
        self._clock = clock
        self._lock = threading.Lock()
        self._tickets: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._logins: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def ticket(self) -> str:
        """What logs one browser in as the page, once, within `TICKET_SECONDS`."""
        return self._add(self._tickets, PAGE, TICKET_SECONDS)

    def redeem(self, ticket: str) -> str | None:
        """The cookie for a ticket, which is worth nothing afterwards; None if it isn't good."""
        with self._lock:
            who, ends = self._tickets.pop(digest_of(ticket), ("", 0.0))
        return self.log_in(who) if who and self._clock() < ends else None

    def log_in(self, who: str) -> str:
        """A cookie for a key's id, or for `PAGE`."""
        return self._add(self._logins, who, LOGIN_SECONDS)

    def owner_of(self, cookie: str) -> str | None:
        """The key's id or `PAGE`; None if the cookie is not good, or not any more."""
        digest = digest_of(cookie)
        if digest == self._launch:
            return PAGE
        with self._lock:
            who, ends = self._logins.get(digest, (None, 0.0))
        return who if self._clock() < ends else None

    def log_out(self, cookie: str) -> None:
        """The cookie is worth nothing from now on; it need not have been worth anything."""
        with self._lock:
            self._logins.pop(digest_of(cookie), None)

    def _add(self, place: OrderedDict[bytes, tuple[str, float]], who: str, seconds: float) -> str:
        secret = token_urlsafe(32)
        with self._lock:
            place[digest_of(secret)] = (who, self._clock() + seconds)
            if len(place) > MOST:
                place.popitem(last=False)
        return secret
