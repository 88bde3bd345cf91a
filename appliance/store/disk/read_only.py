"""Reading a database where nothing can be written: on a full disk, in a read-only folder."""

import sys
import urllib.parse
from pathlib import Path

import apsw


def open_unlocked(path: Path) -> apsw.Connection:
    """A connection that writes no file beside the database, and sees what is in its WAL.

    It takes no locks: nobody may write meanwhile.

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
