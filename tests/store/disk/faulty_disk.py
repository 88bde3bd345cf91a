"""A disk that can fail at any operation, and tracks what would survive a power failure.

While one is in use every new SQLite connection of this process goes through it.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import apsw


class FaultyDisk(apsw.VFS):
    """The real file system with faults."""

    def __init__(self) -> None:
        self.real = apsw.vfs_names()[0]
        self.countdown = 0
        """Operations until the one that fails; 0: none will."""
        self.for_good = False
        self.hit = False
        self.reason = errno.ENOSPC
        """Why it fails."""
        self.surviving: dict[str, bytearray] = {}
        """The synced content of each file, by path."""
        super().__init__("faulty", self.real)

    def fail(self, countdown: int, *, for_good: bool = False) -> None:
        self.countdown, self.for_good, self.hit = countdown, for_good, False

    def heal(self) -> None:
        self.countdown = 0

    def step(self, code: int) -> None:
        if self.countdown == 0:
            return
        self.countdown -= 1
        if self.countdown == 0:
            self.hit = True
            self.countdown = 1 if self.for_good else 0
            # Any error but a full disk is the same for all operations.
            raise apsw.exception_for(code if self.reason == errno.ENOSPC else apsw.SQLITE_IOERR)

    def cut_power(self, folder: Path) -> None:
        """Writes what would be left after a power failure into another folder."""
        folder.mkdir()
        for name, content in self.surviving.items():
            (folder / Path(name).name).write_bytes(content)

    def xOpen(  # noqa: N802
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self.surviving.pop(filename, None)

    def xGetLastError(self) -> tuple[int, str]:  # noqa: N802
        return self.reason, os.strerror(self.reason)


class _File(apsw.VFSFile):
    def __init__(
        self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__(disk.real, name, flags)
        self.disk = disk
        self.unsynced: list[tuple[int, bytes] | int] = []
        self.image = disk.surviving.setdefault(
            name.filename() if isinstance(name, apsw.URIFilename) else str(name), bytearray()
        )

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.disk.step(apsw.SQLITE_FULL)
        super().xWrite(data, offset)
        self.unsynced.append((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self.disk.step(apsw.SQLITE_IOERR_TRUNCATE)
        super().xTruncate(size)
        self.unsynced.append(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.disk.step(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
        for change in self.unsynced:
            if isinstance(change, int):
                del self.image[change:]
            else:
                offset, data = change
                self.image.extend(bytes(max(0, offset - len(self.image))))
                self.image[offset : offset + len(data)] = data
        self.unsynced.clear()


@contextlib.contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    disk = FaultyDisk()
    apsw.set_default_vfs("faulty")
    try:
        yield disk
    finally:
        apsw.set_default_vfs(disk.real)
        disk.unregister()
