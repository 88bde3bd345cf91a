"""What the service and the process that reads a file send each other, and that process's bounds.

The request is one line of JSON and then the file; the answer is one frame.
"""

from typing import Literal

import msgspec

TIME_LIMIT = 30.0
"""Seconds of a processor for a file. The service sees to it."""
PATIENCE = 300.0
"""Seconds by the clock after which the machine counts as too busy."""
MEMORY_LIMIT = 1024 * 1024 * 1024
"""Bytes for a file, besides what the process needs itself. The process sees to it."""
MOST_CHARACTERS = 4_000_000
"""Of a file's text; the rest is left out. About a million tokens."""

FileKind = Literal["text", "html", "pdf", "docx"]
"""What a file is, by its content."""


class ReadFile(msgspec.Struct, frozen=True):
    """The file that follows is to be read."""

    name: str
    """For messages."""
    size: int
    """Bytes."""


class ReadText(msgspec.Struct, frozen=True, tag="text"):
    """What is in it."""

    kind: FileKind
    text: str
    characters: int
    """Of the whole text; `text` may have fewer."""
    pages: int | None = None
    """None: it has none."""


class Unreadable(msgspec.Struct, frozen=True, tag="unreadable"):
    """It can't be read; the message is for a person, and names the file."""

    message: str


FileAnswer = ReadText | Unreadable
