"""Browsers that are logged in: the sessions behind their cookies, which survive a restart.

A cookie is 256 bits of chance and stands for a key, or for the window and the page that were opened
from here. Only hashes are kept, so comparing takes no care, and whoever reads the file has nothing
to show. Safe from any thread.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from secrets import token_urlsafe

import msgspec

from appliance.auth.keys.records import digest_of
from appliance.system.files import replace_file
from appliance.system.periodic_thread import PeriodicThread

log = logging.getLogger(__name__)

TICKET_SECONDS = 300.0
LOGIN_SECONDS = 30 * 86400.0
MOST = 1000
"""Logins and tickets that are remembered; the oldest are forgotten first."""
MAX_BYTES = 1_000_000
SWEEP_SECONDS = 60.0
SEEN_SECONDS = 3600.0
"""How old the time in the file may be."""

PAGE = "page"
"""Stands where a key's id would, for the person at this machine when the page was opened."""


class BrowserLogin(msgspec.Struct, frozen=True):
    """Whom a cookie stands for."""

    who: str
    """A key's id, or `PAGE`."""
    bound: str
    """The binding to the key's secret, from `Keys.binding`; empty for `PAGE`."""
    ends: float
    """Unix seconds."""


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    seen: float
    """The latest time that was seen, in Unix seconds."""
    logins: list[tuple[bytes, BrowserLogin]]
    """Hashes of cookies, and whom they stand for; the oldest first."""
    version: int = 1


class ForwardClock:
    """Unix seconds that never go back: a clock that is set back continues from where it was."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wall` can be set, `steady` can't."""
        self._wall, self._steady = wall, steady
        self._lock = threading.Lock()
        self._latest, self._at = wall(), steady()

    def __call__(self) -> float:
        """The time, at least that of the last call and of `seen`, and what has passed since."""
        with self._lock:
            at = self._steady()
            self._latest = max(self._wall(), self._latest + at - self._at)
            self._at = at
            return self._latest

    def seen(self, seconds: float) -> None:
        """It was that late already."""
        with self._lock:
            self._latest = max(self._latest, seconds)


class LoginSessions:
    """Tickets, each good for one login, and logins.

    A login ends with its thirty days and never comes back: its time counts from the latest one that
    was ever seen, also by an earlier process, whatever the clock says by now.
    """

    def __init__(self, file: Path | None = None, *, clock: ForwardClock | None = None) -> None:
        """Reads the file.

        Args:
            file: where logins are kept; None: they end with this process.
            clock: gives the time.
        """
        self.launch_token = token_urlsafe(32)
        """Lets the page in as long as this process runs: for its user's programs."""
        self._launch = digest_of(self.launch_token)
        self._file = file
        self._clock = clock or ForwardClock()
        self._lock = threading.Lock()
        self._tickets: OrderedDict[bytes, BrowserLogin] = OrderedDict()
        self._logins: OrderedDict[bytes, BrowserLogin] = OrderedDict()
        self._saved_at = 0.0
        self._thread = PeriodicThread("logins", self.sweep, seconds=SWEEP_SECONDS)
        if file is not None:
            self._read(file)

    def start(self) -> None:
        """Notice logins that end, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Write down how late it is; may be called again."""
        self._thread.close(timeout=1.0)
        with self._lock:
            if self._logins:
                self._save()

    def ticket(self) -> str:
        """What logs one browser in as the page, once, within `TICKET_SECONDS`."""
        with self._lock:
            return self._add(self._tickets, PAGE, "", TICKET_SECONDS)

    def redeem(self, ticket: str) -> str | None:
        """The cookie for a ticket, which is worth nothing afterwards, or for the launch token, with
        which a window opens the page; None if it isn't good."""
        digest = digest_of(ticket)
        with self._lock:
            found = self._tickets.pop(digest, None)
        good = digest == self._launch or (found and self._clock() < found.ends)
        return self.log_in(PAGE) if good else None

    def log_in(self, who: str, bound: str = "") -> str:
        """A cookie for a key's id, bound to its secret, or for `PAGE`."""
        with self._lock:
            cookie = self._add(self._logins, who, bound, LOGIN_SECONDS)
            self._save()
            return cookie

    def find(self, cookie: str) -> BrowserLogin | None:
        """Whom the cookie stands for; None if it is not good, or not any more."""
        digest = digest_of(cookie)
        if digest == self._launch:
            return BrowserLogin(PAGE, "", float("inf"))
        with self._lock:
            found = self._logins.get(digest)
            if found is None or self._clock() < found.ends:
                return found
            self._drop_ended()
            return None

    def log_out(self, cookie: str) -> None:
        """The cookie is worth nothing from now on; it need not have been worth anything."""
        with self._lock:
            if self._logins.pop(digest_of(cookie), None):
                self._save()

    def log_out_all(self) -> None:
        """No cookie and no ticket is worth anything from now on."""
        with self._lock:
            self._logins.clear()
            self._tickets.clear()
            self._save()

    def sweep(self) -> None:
        """Drop what has ended, and keep the time in the file."""
        with self._lock:
            self._drop_ended()
            if self._logins and self._clock() >= self._saved_at + SEEN_SECONDS:
                self._save()

    # -- inside, with the lock ---------------------------------------------------------------------

    def _add(
        self, place: OrderedDict[bytes, BrowserLogin], who: str, bound: str, seconds: float
    ) -> str:
        secret = token_urlsafe(32)
        place[digest_of(secret)] = BrowserLogin(who, bound, self._clock() + seconds)
        if len(place) > MOST:
            place.popitem(last=False)
        return secret

    def _drop_ended(self) -> None:
        now = self._clock()
        ended = [digest for digest, login in self._logins.items() if now >= login.ends]
        for digest in ended:
            del self._logins[digest]
        if ended:
            # At once: with a clock that is set back, another process would find them alive.
            self._save()

    def _save(self) -> None:
        if self._file is None:
            return
        self._saved_at = self._clock()
        saved = _Saved(self._saved_at, list(self._logins.items()))
        try:
            replace_file(self._file, msgspec.json.encode(saved), durable=True)
        except OSError as error:
            log.warning("who is logged in is not kept beyond this run: %s", error)

    def _read(self, file: Path) -> None:
        try:
            with open(file, "rb") as stream:
                saved = msgspec.json.decode(stream.read(MAX_BYTES), type=_Saved)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, ValueError) as error:
            log.warning("browsers have to log in again: %s cannot be read: %s", file, error)
            return
        self._clock.seen(saved.seen)
        latest = self._clock() + LOGIN_SECONDS
        for digest, login in saved.logins[-MOST:]:
            # Not even a file written by another program gives more than the thirty days.
            self._logins[digest] = msgspec.structs.replace(login, ends=min(login.ends, latest))
        self._drop_ended()
