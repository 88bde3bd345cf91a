"""A checksum for each message: SQLite doesn't notice a flipped bit in a text."""

import contextlib
import zlib
from typing import Any


def message_checksum(*texts: Any) -> int:
    """CRC-32 of a message's role, content and reasoning: texts, or the bytes of
    damaged ones. Also a function of that name in SQL."""
    with contextlib.suppress(TypeError):
        return zlib.crc32("\0".join(texts).encode())
    parts = [text if isinstance(text, bytes) else str(text).encode() for text in texts]
    return zlib.crc32(b"\0".join(parts))
