"""Whether the hub's machine answers at all.

The hub's library tries again for half a minute before it reports that a machine is offline, and
then in the system's words.
"""

import contextlib
import socket
import threading
import urllib.request
from urllib.parse import urlsplit

PATIENCE_SECONDS = 5.0
"""For a look-up of the name and for a connection; in between there are no more than these two."""


def why_unreachable(endpoint: str) -> str:
    """Why there is no way to a server, for people; empty: it, or the proxy on the way to it,
    accepts connections.

    Takes twice `PATIENCE_SECONDS` at most.
    """
    target = urlsplit(_proxy_of(endpoint) or endpoint)
    host = target.hostname or ""
    port = target.port or (443 if target.scheme == "https" else 80)
    known = threading.Event()

    def look_up() -> None:
        with contextlib.suppress(OSError):
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            known.set()
        done.set()

    # In a thread of its own: a look-up has no time limit, and name servers may not answer.
    done = threading.Event()
    threading.Thread(target=look_up, name="hub look-up", daemon=True).start()
    done.wait(PATIENCE_SECONDS)
    if not known.is_set():
        return (
            f"the name {host} can't be looked up. This machine seems to have no connection to"
            " the internet."
        )
    try:
        socket.create_connection((host, port), timeout=PATIENCE_SECONDS).close()
    except OSError as ex:
        return f"{host}:{port}, {in_words(ex)}."
    return ""


def in_words(error: BaseException) -> str:
    """What went wrong, without numbers of errors."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, socket.gaierror):
        return "its name can't be looked up"
    if isinstance(cause, TimeoutError) or "Timeout" in type(error).__name__:
        return "it does not answer"
    if isinstance(cause, ConnectionRefusedError):
        return "it refuses connections"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]


def _proxy_of(endpoint: str) -> str | None:
    target = urlsplit(endpoint)
    if urllib.request.proxy_bypass(target.netloc):
        return None
    proxy = urllib.request.getproxies().get(target.scheme)
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
