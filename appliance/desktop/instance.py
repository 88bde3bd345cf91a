"""One window per user: a second launcher brings the first one's window forward, and ends."""

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import filelock
import msgspec

from appliance.system.files import replace_file

ACTIVATE_SECONDS = 10.0
"""Seconds in which the lock's holder must answer or end."""
ANSWER_SECONDS = 3.0
MAX_MESSAGE_BYTES = 200
_ACCEPTED = b"heard\n"


class Endpoint(msgspec.Struct, frozen=True):
    """Where the first instance listens, and what a second one has to send."""

    port: int
    token: str


class Instance:
    """The first instance; `close` when done. Others are answered on a thread of its own."""

    def __init__(self, lock: filelock.BaseFileLock, file: Path) -> None:
        """`claim` makes it."""
        self._lock = lock
        self._file = file
        self._on_activate: Callable[[], None] = lambda: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._endpoint = Endpoint(self._listener.getsockname()[1], secrets.token_urlsafe(24))
        replace_file(file, msgspec.json.encode(self._endpoint))
        threading.Thread(target=self._answer, name="instance", daemon=True).start()

    def on_activate(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the appliance is started again, on that thread."""
        self._on_activate = callback

    def close(self) -> None:
        """Let the next one be the first."""
        self._file.unlink(missing_ok=True)
        self._listener.close()
        self._lock.release()

    def _answer(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(ANSWER_SECONDS)
                message = connection.recv(MAX_MESSAGE_BYTES).strip()
                if secrets.compare_digest(message, self._endpoint.token.encode()):
                    connection.sendall(_ACCEPTED)
                    self._on_activate()


def claim(folder: Path) -> Instance | None:
    """The first instance on this folder, or None once the one that is there comes forward.

    Raises:
        OSError: the folder cannot be written to.
        TimeoutError: another process holds the lock and does not answer.
    """
    lock = filelock.FileLock(folder / "window.lock")
    file = folder / "window.door"
    deadline = time.monotonic() + ACTIVATE_SECONDS
    while time.monotonic() < deadline:
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            if _activate(file):
                return None
            time.sleep(0.1)
        else:
            return Instance(lock, file)
    raise TimeoutError("Another window is just being opened or closed, and takes long. Try again.")


def _activate(file: Path) -> bool:
    """Whether the first instance answered."""
    try:
        endpoint = msgspec.json.decode(file.read_bytes(), type=Endpoint)
        with socket.create_connection(("127.0.0.1", endpoint.port), ANSWER_SECONDS) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(endpoint.token.encode() + b"\n")
            return connection.recv(len(_ACCEPTED)) == _ACCEPTED
    except (OSError, msgspec.DecodeError):
        return False
