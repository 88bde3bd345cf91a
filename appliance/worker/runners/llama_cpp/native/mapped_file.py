"""A model's file, as it lies in memory."""

import ctypes
import sys
from pathlib import Path

_DONT_NEED = 4
"""`MADV_DONTNEED`: of pages that a file has, it takes them out of the process, and no more."""


def let_go(file: Path) -> None:
    """Give back what was read of a mapped model, and of its other files beside it; what is needed
    comes back from the system's cache as it is touched. Some weights are copied when they are
    loaded, to a GPU or into a layout that suits the processor, and their pages never are. Linux
    alone says where a file is mapped."""
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    folder = f"{file.resolve().parent}/"
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            place, rights, *_, path = line.rstrip("\n").split(maxsplit=5)
            if rights.startswith("r--") and path.startswith(folder):
                start, end = (int(number, 16) for number in place.split("-"))
                madvise(start, end - start, _DONT_NEED)  # a hint: the result does not matter
