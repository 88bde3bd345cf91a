"""A file read piece by piece, never further than it goes."""

import os
import stat
import struct
from io import FileIO
from pathlib import Path
from typing import Any

from appliance.errors import BadModelFile

MAX_STRINGS = 1 << 21
"""Strings in all arrays of a file; the largest vocabularies have a quarter of a million tokens."""
MAX_STRING = 1 << 16
"""Bytes of a string that is taken out of an array."""
MAX_KEPT = 16 << 20
"""Bytes, about, of keys and values that are remembered."""

U32, U64 = struct.Struct("<I"), struct.Struct("<Q")

_CHUNK = 1 << 20


def open_file(path: Path) -> FileIO:
    """An ordinary file, for reading.

    Raises:
        BadModelFile: there is none, or it cannot be opened.
    """
    try:
        # Checked first: opening a pipe waits for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadModelFile(f"{path.name}: not a file")
        return path.open("rb", buffering=0)
    except (OSError, ValueError) as error:
        raise BadModelFile(f"{path.name}: cannot be read: {error}") from error


class GgufReader:
    """A place in the file, and a window of bytes around it. Every method raises `BadModelFile`
    when the file ends before."""

    def __init__(self, name: str, file: FileIO) -> None:
        self._name = name
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        self.at = 0
        self._data = b""
        self._start = 0
        self._strings = 0
        self._kept = 0

    def bad(self, what: str, at: int | None = None) -> BadModelFile:
        """The error for what is found at byte `at`, or here."""
        return BadModelFile(f"{self._name}: {what} (byte {self.at if at is None else at})")

    def keep(self, size: int) -> None:
        """Account for memory that what was read will take."""
        self._kept += size
        if self._kept > MAX_KEPT:
            raise self.bad(f"keys and values of more than {MAX_KEPT} bytes")

    def skip(self, size: int) -> None:
        """Skip `size` bytes."""
        if size > self.size - self.at:
            raise self.bad(f"{size} bytes are announced, and the file ends at byte {self.size}")
        self.at += size

    def read(self, size: int) -> bytes:
        """The next `size` bytes; the caller has a bound for it."""
        found = self._window(size)
        self.at += size
        return self._data[found : found + size]

    def number(self, layout: struct.Struct) -> Any:
        """The next number of that layout."""
        return layout.unpack(self.read(layout.size))[0]

    def text(self, what: str, limit: int) -> str:
        """The next string, of 1 to `limit` bytes."""
        size = self.number(U64)
        if not size or size > limit:
            raise self.bad(f"{what} of {size} bytes; 1 to {limit} are possible", self.at - 8)
        self.keep(size + 64)
        try:
            return self.read(size).decode()
        except UnicodeDecodeError as error:
            raise self.bad(f"{what} is not text", self.at - size) from error

    # A vocabulary is most of a header, and these two loops run for each of its strings. They look
    # for the window's end by falling over it, and at the file's end once a window.

    def skip_strings(self, count: int) -> None:
        """Skip `count` strings."""
        self._expect_strings(count)
        unpack = U64.unpack_from
        while count:
            at = start = self._window(8)
            data = self._data
            done = 0
            try:
                for done in range(count):  # noqa: B007
                    at += 8 + unpack(data, at)[0]
            except (struct.error, OverflowError):
                count -= done
            else:
                count = 0
            self.skip(at - start)

    def strings(self, count: int) -> list[bytes]:
        """The next `count` strings."""
        self._expect_strings(count)
        unpack = U64.unpack_from
        found: list[bytes] = []
        keep = found.append
        while len(found) < count:
            at = start = self._window(8)
            data = self._data
            first = at
            try:
                for _ in range(count - len(found)):
                    size = unpack(data, at)[0]
                    first = at + 8
                    at = first + size
                    keep(data[first:at])
            except (struct.error, OverflowError):
                pass
            if at <= len(data):
                self.at += at - start
                continue
            found.pop()  # the window has only its beginning
            self.at += first - 8 - start
            if at - first > MAX_STRING:
                raise self.bad(f"a string of {at - first} bytes; {MAX_STRING} are possible")
            self._window(8 + at - first)
        return found

    def _expect_strings(self, count: int) -> None:
        self._strings += count
        if count > (self.size - self.at) // 8:
            raise self.bad(f"{count} strings are announced, and the file ends at byte {self.size}")
        if self._strings > MAX_STRINGS:
            raise self.bad(f"more than {MAX_STRINGS} strings in arrays")

    def _window(self, size: int) -> int:
        """Where the next `size` bytes begin in `_data`."""
        found = self.at - self._start
        if found + size > len(self._data):
            if size > self.size - self.at:
                raise self.bad(f"{size} more bytes are due, and the file ends at byte {self.size}")
            self._file.seek(self.at)
            self._data = self._file.read(max(size, _CHUNK))
            self._start, found = self.at, 0
            if len(self._data) < size:
                raise self.bad("the file became shorter while it was read")
        return found
