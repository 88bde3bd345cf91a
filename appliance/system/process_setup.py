"""The set-up of a process that another one of ours started: its pipes, its log, its end."""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

import msgspec

Send = Callable[[msgspec.Struct], None]
"""Writes one line of JSON; ends the process when its reader is gone."""


def take_pipes(log_level: int) -> tuple[BinaryIO, BinaryIO]:
    """What the parent writes and what it reads, which nothing else gets into: log lines from
    `log_level` on, and what native code prints, go to stderr; stdin is empty from now on."""
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s", level=log_level)
    return commands, events


def obey_parent_alone() -> None:
    """Ctrl-C, which reaches the whole process group, is the parent's to decide about; and on Linux
    this process is killed when the thread that started it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def go_first_out_of_memory(score: int) -> None:
    """On Linux, be killed rather than others when memory runs out.

    Args:
        score: up to 1000; who has more goes sooner.
    """
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(score))


def limit_memory(more: int) -> bool:
    """Bound what this process may take from now on; whether this system can.

    Linux alone holds to RLIMIT_AS. Windows would need a job object, which has to be made from
    outside; macOS has nothing of the kind.

    Args:
        more: bytes, besides what it has.
    """
    if sys.platform != "linux":
        return False
    import resource

    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return True


def open_no_more_files() -> None:
    """From now on this process opens no file and no connection, whatever happens in it; as far as
    the system can hold it to that."""
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def allow_open_files(most: int = 65536) -> int:
    """As many open files as this user may have, also for the processes that this one starts.

    Args:
        most: no more than that are asked for.

    Returns:
        How many there may be; `most` where the system has no such limit.
    """
    try:
        import resource
    except ImportError:  # Windows
        return most
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = most if hard == resource.RLIM_INFINITY else min(hard, most)
    # macOS has another limit besides the one it reports.
    for wanted in (limit, 10240):
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            break
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if soft == resource.RLIM_INFINITY else min(soft, most)


def take_request() -> tuple[bytes, Send]:
    """The child's side of `json_process.converse`: the request, and a function that sends
    its results. The process ends when its stdin does, in the middle of what it does, too."""
    commands, events = take_pipes(logging.ERROR)
    go_first_out_of_memory(900)
    request = commands.readline()
    threading.Thread(target=_end_with, args=(commands,), daemon=True).start()

    def send(message: msgspec.Struct) -> None:
        try:
            events.write(msgspec.json.encode(message) + b"\n")
            events.flush()
        except OSError:
            os._exit(0)

    return request, send


def _end_with(commands: BinaryIO) -> None:
    commands.read()
    os._exit(0)
