"""The download of one file from the hub, with retries, resumption and verification.

Nothing that the other side says is believed: what has arrived is held against the size and the
hash that the hub's catalogue gave before, by reading it back from the disk.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from appliance.errors import DownloadFailed, NoSpace, RequestError

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Bytes of one read from the disk."""
ATTEMPTS = 6
"""In a row that bring nothing."""
BACK_OFF_SECONDS = 1.0
"""Before the second attempt; twice as long before each further one."""
LONGEST_BACK_OFF_SECONDS = 30.0
CONNECT_SECONDS = 15.0
STALL_SECONDS = 30.0
"""Without a byte; then the connection is given up."""
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class ExpectedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a file must be."""

    url: str
    name: str
    """For people."""
    size: int
    sha256: str
    blob: str
    """Git's hash, which counts if `sha256` is empty."""


class Stopped(Exception):
    """The caller wanted no more; what has arrived is kept."""


class _Interrupted(Exception):
    """This attempt is over; another one may do."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        """`wait`: seconds that the other side asks for."""
        super().__init__(why)
        self.wait = wait


class FileDownload:
    """Fetches one file. For one thread."""

    def __init__(
        self,
        want: ExpectedFile,
        part: Path,
        *,
        headers: Mapping[str, str],
        stopped: Callable[[float], bool],
        stall_seconds: float = STALL_SECONDS,
        back_off_seconds: float = BACK_OFF_SECONDS,
    ) -> None:
        """
        Args:
            want: the file.
            part: where it grows; what is there already is continued.
            headers: for the first address, not for those it redirects to elsewhere.
            stopped: waits so many seconds, and says whether to stop.
            stall_seconds: see `STALL_SECONDS`.
            back_off_seconds: see `BACK_OFF_SECONDS`.
        """
        self._want = want
        self._part = part
        self._headers = {**headers, "Accept-Encoding": "identity"}
        self._stopped = stopped
        self._stall = stall_seconds
        self._back_off = back_off_seconds
        self._etag = ""

    def run(self) -> None:
        """Returns when all bytes are on the disk, and right.

        Raises:
            Stopped: it was wanted.
            DownloadFailed: it cannot be had, or is not what it should be; then nothing is kept.
            NoSpace: the disk is full; what has arrived is kept.
            RequestError: the hub does not let us.
        """
        import httpx2  # which takes a while, and most starts of the appliance need none

        failures = 0
        timeout = httpx2.Timeout(self._stall, connect=min(CONNECT_SECONDS, self._stall))
        with httpx2.Client(follow_redirects=True, timeout=timeout) as client:
            while (before := self._size()) != self._want.size:
                try:
                    self._attempt(client, before)
                except (httpx2.HTTPError, httpx2.InvalidURL, _Interrupted) as ex:
                    failures = failures + 1 if self._size() <= before else 1
                    log.info("%s: %s, at byte %d", self._want.name, _why(ex), self._size())
                    if failures >= ATTEMPTS:
                        raise DownloadFailed(f"{self._want.name}: {_why(ex)}") from ex
                    wait = self._back_off * 2 ** (failures - 1)
                    wait = max(wait, getattr(ex, "wait", 0.0))
                    if self._stopped(min(wait, LONGEST_BACK_OFF_SECONDS)):
                        raise Stopped from ex
                except OSError as ex:
                    raise _no_space(self._want.name, ex) from ex
        self.verify()

    def verify(self) -> None:
        """Read back what is on the disk; throw it away if it isn't right.

        Raises:
            Stopped: it was wanted; what is there is kept.
            DownloadFailed: size or hash are wrong.
        """
        found = is_right(self._want, self._part, lambda: self._stopped(0))
        if not found:
            self._part.unlink(missing_ok=True)
            raise DownloadFailed(
                f"{self._want.name}: what arrived is not what the hub's catalogue says "
                "(its hash is another): it was thrown away"
            )

    def _size(self) -> int:
        try:
            return self._part.stat().st_size
        except FileNotFoundError:
            return 0

    def _attempt(self, client: "httpx2.Client", start: int) -> None:
        if start > self._want.size:
            self._part.unlink()
            start = 0
        headers = dict(self._headers)
        if start:
            headers["Range"] = f"bytes={start}-"
            if self._etag:
                headers["If-Range"] = self._etag
        with client.stream("GET", self._want.url, headers=headers) as response:
            start = self._accept(response, start)
            with self._part.open("r+b" if start else "wb") as out:
                out.seek(start)
                for chunk in self._chunks(response):
                    start += len(chunk)
                    if start > self._want.size:
                        out.truncate(0)
                        raise _Interrupted(f"more than the {self._want.size} bytes announced")
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
        if start < self._want.size:
            raise _Interrupted(f"it ended after {start} of {self._want.size} bytes")

    def _accept(self, response: "httpx2.Response", start: int) -> int:
        """Where in the file the body belongs."""
        status = response.status_code
        if status in (401, 403):
            raise RequestError(
                f"{self._want.name}: the hub wants a token that may read it, in HF_TOKEN"
            )
        if status in (404, 410):
            raise DownloadFailed(f"{self._want.name}: the hub has it no longer")
        if status == 416:
            self._part.unlink(missing_ok=True)
            raise _Interrupted("the hub has less than there is here: from the beginning")
        if status not in (200, 206):
            wait = response.headers.get("Retry-After", "")
            raise _Interrupted(f"the hub answered {status}", float(wait) if wait.isdecimal() else 0)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise _Interrupted("it came in an encoding that nobody asked for")
        etag = response.headers.get("ETag", "")
        changed = start > 0 and status == 206 and self._etag and etag != self._etag
        self._etag = "" if etag.startswith("W/") else etag
        if changed:
            self._part.unlink(missing_ok=True)
            raise _Interrupted("the file changed: from the beginning")
        if status == 200:
            self._check_length(response, 0)
            return 0
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != start or found[3] not in (str(self._want.size), "*"):
            self._part.unlink(missing_ok=True)
            raise _Interrupted("another part of the file came than was asked for")
        self._check_length(response, start)
        return start

    def _check_length(self, response: "httpx2.Response", start: int) -> None:
        announced = response.headers.get("Content-Length")
        if announced is not None and (
            not announced.isdecimal() or int(announced) + start != self._want.size
        ):
            raise _Interrupted(
                f"{announced} bytes are announced, and {self._want.size - start} are missing"
            )

    def _chunks(self, response: "httpx2.Response") -> Iterator[bytes]:
        for chunk in response.iter_raw():  # as they come: what is collected is lost with the line
            if self._stopped(0):
                raise Stopped
            yield chunk


def is_right(want: ExpectedFile, file: Path, stopped: Callable[[], bool]) -> bool:
    """Whether a file on the disk has the size and the hash that it must have.

    Raises:
        Stopped: it was wanted.
    """
    try:
        size = file.stat().st_size
        digest = hashlib.sha256() if want.sha256 else hashlib.sha1(f"blob {size}\0".encode())  # noqa: S324
        if size != want.size:
            return False
        with file.open("rb") as content:
            while chunk := content.read(CHUNK):
                if stopped():
                    raise Stopped
                digest.update(chunk)
    except OSError:
        return False
    return digest.hexdigest() == (want.sha256 or want.blob)


def _why(error: Exception) -> str:
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return "nothing came for too long"
    return str(error) or type(error).__name__


def _no_space(name: str, error: OSError) -> NoSpace:
    return NoSpace(f"{name} cannot be written: {error.strerror or error}")
