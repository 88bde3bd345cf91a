"""How values of the protocol travel through a pipe.

A frame is a 4-byte little-endian length and that many bytes of MessagePack. The appliance sends one
`Command` a frame; a worker answers with a list of `Event`s a frame, everything that one step had to
say.
"""

import struct
from typing import BinaryIO

import msgspec

from appliance.engine.protocol import Command, Event

MAX_FRAME = 256 * 1024 * 1024
"""Bytes; a longer frame is taken for garbage on the pipe."""

_LENGTH = struct.Struct("<I")
_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(Command)
_events = msgspec.msgpack.Decoder(list[Event])


def encode(message: Command | list[Event]) -> bytes:
    """One whole frame."""
    return frame(_encoder.encode(message))


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


def read_command(pipe: BinaryIO) -> Command | None:
    """The next command; None when the other side is gone.

    Raises:
        ValueError: what came is not of this protocol (`msgspec.ValidationError` included).
    """
    body = read_frame(pipe)
    return None if body is None else _commands.decode(body)


def read_events(pipe: BinaryIO) -> list[Event] | None:
    """The next frame's events; None when the worker is gone.

    Raises:
        ValueError: what came is not of this protocol (`msgspec.ValidationError` included).
    """
    body = read_frame(pipe)
    return None if body is None else _events.decode(body)
