"""Reading a database where nothing can be written: on a full disk, in a read-only folder."""

import errno
import os
import shutil
import sys
import urllib.parse
from pathlib import Path

import apsw


def open_unlocked(path: Path) -> apsw.Connection:
    """A connection that writes no file beside the database, and sees what is in its WAL.

    It takes no locks: nothing may write meanwhile.

    Raises:
        apsw.Error: it cannot be read, or is no database.
    """
    wal = path.with_name(f"{path.name}-wal")
    name = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    if not (wal.exists() and wal.stat().st_size):
        connection = apsw.Connection(f"{name}&immutable=1", flags=flags)
    else:
        # The shared memory of a WAL is a file, unless one connection has the database alone.
        vfs = "win32-none" if sys.platform == "win32" else "unix-none"
        connection = apsw.Connection(name, flags=flags, vfs=vfs)
        connection.pragma("locking_mode", "exclusive")
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
    except apsw.Error:
        connection.close()
        raise
    return connection


def why_not_written(folder: Path) -> int:
    """The error number of what keeps a file from being made there; 0: nothing that is known.

    SQLite doesn't always say it.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return errno.EACCES
    try:
        if not hasattr(os, "statvfs"):
            return 0 if shutil.disk_usage(folder).free else errno.ENOSPC
        state = os.statvfs(folder)
    except OSError as ex:
        return ex.errno or 0
    if state.f_flag & os.ST_RDONLY:
        return errno.EROFS
    # A file's first byte takes a block; some file systems do not count their files.
    no_room = state.f_bavail < 1 or (state.f_files and state.f_favail < 1)
    return errno.ENOSPC if no_room else 0
