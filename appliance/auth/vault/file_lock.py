"""A lock that processes and threads share through a file, with a change mark in it.

The system releases it when its process dies. A process that changed the protected data writes a new
mark into the file, so that others notice the change with one small read.
"""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import VaultUnavailable
from appliance.system.files import NO_LINK

_PAUSE = 0.02
_MARK_BYTES = 32


class FileLock:
    """One holder at a time, over all processes that name the same file."""

    def __init__(self, path: Path) -> None:
        """`path` is made when it is first locked, readable by its owner only."""
        self._path = path

    @contextmanager
    def held(self, timeout: float) -> Iterator[None]:
        """Holds the lock while inside.

        Raises:
            VaultUnavailable: another holder keeps it for longer than `timeout` seconds, or the
                file cannot be made.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o600)
        except OSError as error:
            raise VaultUnavailable(
                f"{self._path}, which keeps two changes apart, cannot be opened:"
                f" {error.strerror}. Make its folder writable for this user."
            ) from error
        try:
            ends = time.monotonic() + timeout
            while not _try(file):
                if time.monotonic() >= ends:
                    raise VaultUnavailable(
                        f"Another process has been changing the keys for {timeout:g} seconds"
                        f" ({self._path} is locked). Try again; if it stays so, end that process."
                    )
                time.sleep(_PAUSE)
            yield
        finally:
            # Closing lets go of the lock.
            os.close(file)

    def leave_mark(self) -> None:
        """Say that there is something new; the holder's to call."""
        file = os.open(self._path, os.O_WRONLY | NO_LINK)
        try:
            os.write(file, secrets.token_hex(_MARK_BYTES // 2).encode())
        finally:
            os.close(file)

    def mark(self) -> bytes:
        """What the last change left; empty before the first one."""
        try:
            file = os.open(self._path, os.O_RDONLY | NO_LINK)
        except OSError:
            return b""
        try:
            return os.read(file, _MARK_BYTES)
        finally:
            os.close(file)


if sys.platform == "win32":
    import msvcrt

    def _try(file: int) -> bool:
        try:
            # A byte past the mark: here a locked byte cannot be read either.
            os.lseek(file, _MARK_BYTES, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
