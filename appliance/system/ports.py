"""Which process listens on a port."""

import psutil


def holder_of(port: int) -> str | None:
    """Who listens on a port, by name and process id, as far as this system and user may know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:  # macOS lets nobody but root know
        return None
    for one in connections:
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
            try:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
            except psutil.Error:
                return None
    return None
