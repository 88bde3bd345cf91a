"""`context`: a chat so far as a list of numbers, which a client sends back to go on with it.

Ollama's has the tokens. Here it has the messages, packed, so that their prompt is the one that was
cached, whatever model goes on with it. It is as good as what its client says, like any message.
"""

import zlib
from collections.abc import Sequence

import msgspec

from appliance.errors import RequestError

MARK = 0x6170706C
"""What it begins with."""
BYTES = 6
"""In a number; JavaScript's are exact up to 53 bits."""
MOST_BYTES = 4
"""Of a character."""

Said = tuple[str, str]
"""A role and a text."""


def packed(messages: Sequence[Said]) -> list[int]:
    """The messages as numbers."""
    data = zlib.compress(msgspec.json.encode(messages))
    pieces = (data[at : at + BYTES] for at in range(0, len(data), BYTES))
    return [MARK, len(data), *(int.from_bytes(piece, "big") for piece in pieces)]


def unpacked(context: Sequence[int], most: int) -> list[Said]:
    """The messages again; `most`: characters that they may have.

    Raises:
        RequestError: it is none of this server's, or too long.
    """
    wrong = RequestError(
        "context: only what this server sent can be sent back; otherwise send the messages to"
        " /api/chat",
        param="context",
    )
    if len(context) < 3 or context[0] != MARK or not 0 < context[1] <= len(context) * BYTES:
        raise wrong
    left = context[1]
    pieces = []
    for number in context[2:]:
        size = min(BYTES, left)
        if size <= 0 or not 0 <= number < 256**size:
            raise wrong
        pieces.append(number.to_bytes(size, "big"))
        left -= size
    opened = zlib.decompressobj()
    try:
        text = opened.decompress(b"".join(pieces), (most + 1) * MOST_BYTES * 2)
        if opened.unconsumed_tail:
            raise RequestError(f"context has more than {most} characters", param="context")
        if not opened.eof:
            raise wrong
        return msgspec.json.decode(text, type=list[Said])
    except (zlib.error, msgspec.MsgspecError, UnicodeError) as ex:
        raise wrong from ex
