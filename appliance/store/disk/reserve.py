"""Reserved disk space, so that chats can still be deleted when the disk is full."""

import contextlib
import os
import shutil
from pathlib import Path

SIZE = 2 * 1024 * 1024
"""Bytes of each file: what deleting a long chat writes before it frees anything."""
NAMES = ("reserve-1", "reserve-2")
"""Two, since a database that is opened needs two more files."""
_BLOCK = bytes(64 * 1024)


class Reserve:
    """Files beside the database that are removed for their room, and made again once there is
    some."""

    def __init__(self, folder: Path, size: int = SIZE) -> None:
        """`size`: bytes of each file. The files are made by `fill`."""
        self._files = [folder / name for name in NAMES]
        self._size = size

    def is_whole(self) -> bool:
        """Whether all of it is there."""
        return all(map(self._is_whole, self._files))

    def give_up(self) -> bool:
        """Remove it. Whether there was anything to remove."""
        removed = False
        for file in self._files:
            with contextlib.suppress(OSError):
                removed = file.stat().st_size > 0 or removed
                file.unlink()
        return removed

    def fill(self) -> bool:
        """Make what is missing, if as much again stays free; whether all of it is there."""
        for file in self._files:
            if self._is_whole(file):
                continue
            try:
                if shutil.disk_usage(file.parent).free < 2 * len(self._files) * self._size:
                    return False
                self._write(file)
            except OSError:
                with contextlib.suppress(OSError):
                    file.unlink()
                return False
        return True

    def _is_whole(self, file: Path) -> bool:
        try:
            return file.stat().st_size >= self._size
        except OSError:
            return False

    def _write(self, file: Path) -> None:
        """With bytes that are really there: a file with a hole keeps no room."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, self._size)
            else:
                for _ in range(self._size // len(_BLOCK)):
                    os.write(descriptor, _BLOCK)
        finally:
            os.close(descriptor)
