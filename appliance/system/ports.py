"""Which process listens on a port, and its owner."""

import contextlib
import os
import sys
from pathlib import Path

import psutil


def holder_of(port: int) -> str | None:
    """Who listens on a port, by name and process id, as far as this system and user may know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:  # macOS shows it only to root
        return None
    for one in connections:
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
            try:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
            except psutil.Error:
                return None
    return None


def listener_may_be_trusted(port: int, root: Path = Path("/")) -> bool:
    """Whether only this user's programs and the system's own accounts listen on a port.

    True also where the system does not say: Linux alone does. `root` is where it has its files.
    """
    if sys.platform != "linux":
        return True
    lines: list[str] = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            lines += (root / "proc/net" / table).read_text("ascii").splitlines()[1:]
    owners = {
        int(fields[7])
        for fields in map(str.split, lines)
        if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port
    }
    return all(owner == os.getuid() or not _is_a_persons(owner) for owner in owners)


LISTENING = "0A"


def _is_a_persons(owner: int) -> bool:
    """By the numbers that systemd lays down: people's, and nobody's."""
    return 1000 <= owner < 60_000 or owner == 65_534
