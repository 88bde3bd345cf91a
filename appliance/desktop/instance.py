"""One instance per user: who comes second rings at the first one's door, and leaves."""

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import filelock
import msgspec

RING_SECONDS = 10.0
"""What somebody who holds the lock has to answer, or to be gone."""
ANSWER_SECONDS = 3.0
LONGEST_RING = 200
_HEARD = b"heard\n"


class Door(msgspec.Struct, frozen=True):
    """Where the first instance listens, and what a visitor has to say."""

    port: int
    token: str


class Instance:
    """The first instance; `close` when done. Rings are heard on a thread of their own."""

    def __init__(self, lock: filelock.BaseFileLock, file: Path) -> None:
        """`claim` makes it."""
        self._lock = lock
        self._file = file
        self._on_ring: Callable[[], None] = lambda: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._door = Door(self._listener.getsockname()[1], secrets.token_urlsafe(24))
        _write_private(file, msgspec.json.encode(self._door))
        threading.Thread(target=self._answer, name="door", daemon=True).start()

    def on_ring(self, callback: Callable[[], None]) -> None:
        """What is done when somebody rings, on the door's thread."""
        self._on_ring = callback

    def close(self) -> None:
        """Let the next one be the first."""
        self._file.unlink(missing_ok=True)
        self._listener.close()
        self._lock.release()

    def _answer(self) -> None:
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return
            with visitor, contextlib.suppress(OSError):
                visitor.settimeout(ANSWER_SECONDS)
                said = visitor.recv(LONGEST_RING).strip()
                if secrets.compare_digest(said, self._door.token.encode()):
                    visitor.sendall(_HEARD)
                    self._on_ring()


def claim(folder: Path) -> Instance | None:
    """The first instance on this folder, or None once the one that is there was rung for.

    Raises:
        OSError: the folder cannot be written to.
        TimeoutError: somebody holds the lock and does not answer.
    """
    lock = filelock.FileLock(folder / "window.lock")
    file = folder / "window.door"
    deadline = time.monotonic() + RING_SECONDS
    while time.monotonic() < deadline:
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            if _ring(file):
                return None
            time.sleep(0.1)
        else:
            return Instance(lock, file)
    raise TimeoutError("Another window is just being opened or closed, and takes long. Try again.")


def _ring(file: Path) -> bool:
    """Whether somebody heard."""
    try:
        door = msgspec.json.decode(file.read_bytes(), type=Door)
        with socket.create_connection(("127.0.0.1", door.port), ANSWER_SECONDS) as to_first:
            to_first.settimeout(ANSWER_SECONDS)
            to_first.sendall(door.token.encode() + b"\n")
            return to_first.recv(len(_HEARD)) == _HEARD
    except (OSError, msgspec.DecodeError):
        return False


def _write_private(file: Path, content: bytes) -> None:
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(content)
