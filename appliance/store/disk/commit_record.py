"""How many changes the database has had, written beside it as well.

SQLite drops what it cannot read of its WAL without a word: a missing file, a flipped bit. The
number in the database is then lower than the one beside it. That one is not flushed to the disk, so
that it may be too low after a power cut, and never too high.
"""

import contextlib
import os
from pathlib import Path

import msgspec

SUFFIX = "-commits"
_LENGTH = 160
"""Bytes: less than what a disk writes at once."""


class Commits(msgspec.Struct, frozen=True):
    """The last change."""

    database: str
    """Which database it is."""
    number: int
    at: int
    """Unix milliseconds."""


class LostCommits(msgspec.Struct, frozen=True):
    """Changes that were committed and are not in the database any more. Unix milliseconds."""

    number: int
    since: int
    """When the last change was made that is there; 0: unknown."""
    until: int
    """When the last one was made."""


class CommitRecord:
    """The file. For one thread at a time."""

    def __init__(self, database: Path) -> None:
        """The record for the database at that path, which need not exist."""
        self._path = database.with_name(database.name + SUFFIX)
        self._file: int | None = None

    def read(self) -> Commits | None:
        """None: there is none, or it cannot be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Commits)
        except (OSError, msgspec.DecodeError, ValueError):
            return None

    def write(self, commits: Commits) -> None:
        """Replace it, if that can be done."""
        content = msgspec.json.encode(commits).ljust(_LENGTH)
        with contextlib.suppress(OSError):
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
                self._file = os.open(self._path, flags, 0o600)
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, content)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def forget(database: Path) -> None:
    """Another database is to stand at that path.

    Raises:
        OSError: the file cannot be removed.
    """
    database.with_name(database.name + SUFFIX).unlink(missing_ok=True)


def lost(beside: Commits | None, inside: Commits) -> LostCommits | None:
    """What the database lacks by what was written beside it."""
    if beside is None or beside.database != inside.database or beside.number <= inside.number:
        return None
    return LostCommits(beside.number - inside.number, inside.at, beside.at)
