"""Files that are replaced atomically: readers get the old content or the new."""

import contextlib
import os
from pathlib import Path

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""Opening fails if the name is a symbolic link; Windows has no such flag."""


def replace_file(
    path: Path,
    *content: bytes | bytearray | memoryview,
    mode: int = 0o600,
    durable: bool = False,
    partial: Path | None = None,
) -> None:
    """Give `path` this content, all or nothing.

    Args:
        path: it need not be there; its folder must.
        content: all of it, in as many pieces as it is in already.
        mode: of the new file; the owner alone may read it unless this says otherwise.
        durable: return when it is on the disk, and would be there after a power cut.
        partial: what is written first, and renamed; None: beside `path`, and this process's own.

    Raises:
        OSError: it cannot be written, and is as it was.
    """
    partial = partial or path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        partial.unlink(missing_ok=True)  # a killed process left it
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK | getattr(os, "O_BINARY", 0)
        with open(os.open(partial, flags, mode), "wb") as stream:
            stream.writelines(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in it on the disk; not every system can."""
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
