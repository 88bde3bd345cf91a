"""Where the running service is, for other programs of the same user.

The service writes a small file into its data folder when it listens, and takes it away when it
stops. A killed one leaves its file, and anybody may listen on its port by then: the file is
believed only while the lock is held that the system lets go of with the service's process.
"""

import contextlib
import logging
import os
import socket
import urllib.parse
from pathlib import Path

import msgspec

from appliance.errors import ConfigError
from appliance.system.files import replace_file

log = logging.getLogger(__name__)

FILE = "service.json"
LOCK = "service.lock"
TIMEOUT_SECONDS = 2.0
LOCK_SECONDS = 1.0
"""Longer than anybody holds the lock who only looks whether it is held."""


class RunningService(msgspec.Struct, frozen=True, omit_defaults=True):
    """A running service."""

    url: str
    pid: int
    version: str
    token: str = ""
    """What lets the same user in without a key; empty: no key is needed."""


class DataFolderLock:
    """Lock the data folder for changes to its files; `release` when done."""

    def __init__(self, folder: Path) -> None:
        """Take it, and take away what a service that was killed left of its address.

        Raises:
            ConfigError: a service uses it; the message says which.
        """
        import filelock  # late: it takes longer to import than all else here

        self._unwritable: int | None = None
        self._lock: filelock.BaseFileLock | None = filelock.FileLock(folder / LOCK)
        try:
            self._lock.acquire(timeout=LOCK_SECONDS, poll_interval=0.02)
            with contextlib.suppress(OSError):
                (folder / FILE).unlink()
        except filelock.Timeout as ex:
            raise _taken(folder) from ex
        except OSError as ex:
            # A folder that cannot be written; a lock needs no more than a file to be read.
            log.warning("%s cannot be written: %s", folder / LOCK, ex.strerror)
            self._lock = None
            self._unwritable = _lock_unwritable(folder)

    def release(self) -> None:
        """Leave it to others."""
        if self._lock is not None:
            self._lock.release()
        if self._unwritable is not None:
            os.close(self._unwritable)
            self._unwritable = None


def _taken(folder: Path) -> ConfigError:
    other = find_service(folder)
    where = f", process {other.pid} at {other.url}" if other else ""
    return ConfigError(f"data.dir: another appliance uses {folder}{where}", param="data.dir")


def _lock_unwritable(folder: Path) -> int | None:
    """The open lock file; None: there is none, or this system cannot lock it.

    Raises:
        ConfigError: another process has it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        file = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as ex:
        os.close(file)
        raise _taken(folder) from ex
    return file


def publish(folder: Path, service: RunningService) -> None:
    """Write it down, readable by the owner alone.

    Raises:
        OSError: the file cannot be written.
    """
    replace_file(folder / FILE, msgspec.json.encode(service))


def unpublish(folder: Path, pid: int) -> None:
    """Take the file away, if it is still that process's."""
    published = _published(folder)
    if published and published.pid == pid:
        with contextlib.suppress(OSError):
            (folder / FILE).unlink()


def find_service(folder: Path) -> RunningService | None:
    """The service that runs on this data folder; None: there is none that listens."""
    service = _published(folder)
    if service is None:
        return None
    address = urllib.parse.urlsplit(service.url)
    if address.hostname is None or address.port is None:
        return None
    try:
        with socket.create_connection((address.hostname, address.port), TIMEOUT_SECONDS):
            return service if still_runs(folder, service) else None
    except OSError:
        return None


def still_runs(folder: Path, service: RunningService) -> bool:
    """Whether the process that wrote this address is still running.

    Asked once there is a connection to it, the answer is also that of whose connection it is: the
    port was the service's then.
    """
    import filelock

    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        # Read after the lock was seen: a new owner removes the earlier content.
        return _published(folder) == service
    except OSError:
        return False
    lock.release()
    return False


def _published(folder: Path) -> RunningService | None:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=RunningService)
    except (OSError, msgspec.DecodeError, ValueError):
        return None
