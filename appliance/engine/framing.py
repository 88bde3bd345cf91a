"""Sends the protocol's values through a pipe, as frames of MessagePack.

The service sends one `Command` a frame; a worker answers with a list of `Event`s a frame, all that
come of one step.
"""

from typing import BinaryIO

import msgspec

from appliance.engine.protocol import Command, Event
from appliance.system.framing import frame, read_frame

_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(Command)
_events = msgspec.msgpack.Decoder(list[Event])


def encode(message: Command | list[Event]) -> bytes:
    """One whole frame."""
    return frame(_encoder.encode(message))


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
