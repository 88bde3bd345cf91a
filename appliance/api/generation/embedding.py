"""Embeddings of texts: one stateless request, without a wire format."""

import struct
import threading
from collections.abc import Callable

from appliance.engine.pool import ServedModel
from appliance.engine.protocol import Embedded, Failed, SequenceEvent, Terminal
from appliance.engine.types import EmbedRequest
from appliance.errors import ShuttingDown, from_code


def embed(
    model: ServedModel,
    request: EmbedRequest,
    on_disconnect: Callable[[Callable[[], None]], None],
) -> Embedded:
    """Submit and wait for the end.

    Raises:
        ApplianceError: there are no vectors.
    """
    ends: list[Terminal] = []
    ended = threading.Event()

    def take(event: SequenceEvent) -> None:
        if isinstance(event, Terminal):
            ends.append(event)
            ended.set()

    on_disconnect(model.embed(request, take))
    ended.wait()
    (end,) = ends
    if isinstance(end, Failed):
        raise from_code(end.code, end.message, end.param)
    if not isinstance(end, Embedded):  # the caller has gone
        raise ShuttingDown("the request was cancelled")
    return end


def floats(vector: bytes) -> list[float]:
    """A vector as numbers."""
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))
