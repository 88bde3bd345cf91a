"""Messages as frames in a pipe: a 4-byte little-endian length, and that many bytes."""

import struct
from typing import BinaryIO

MAX_FRAME = 256 * 1024 * 1024
"""Bytes; a longer frame is taken for garbage in the pipe."""

_LENGTH = struct.Struct("<I")


def frame(body: bytes) -> bytes:
    """A body with its length in front."""
    return _LENGTH.pack(len(body)) + body


def read_frame(pipe: BinaryIO) -> bytes | None:
    """The next frame's body; None when the other side is gone.

    Raises:
        ValueError: what came is garbage.
    """
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise ValueError(f"frame of {length} bytes")
    body = pipe.read(length)
    return body if len(body) == length else None
