"""Embeddings of texts, and work on texts alone: one stateless request, without a wire format."""

import math
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

from appliance.engine.protocol import Embedded, Failed, SequenceEvent, Terminal, TextResult
from appliance.engine.serving.pool import ServedModel
from appliance.engine.types import EmbedRequest, TextRequest
from appliance.errors import ShuttingDown, from_code

E = TypeVar("E", Embedded, TextResult)


def embed(
    model: ServedModel,
    request: EmbedRequest,
    on_disconnect: Callable[[Callable[[], None]], None],
) -> Embedded:
    """Submit and wait for the end.

    Raises:
        ApplianceError: there are no vectors.
    """
    return _end(model, request, on_disconnect, Embedded)


def read_text(
    model: ServedModel,
    request: TextRequest,
    on_disconnect: Callable[[Callable[[], None]], None],
) -> TextResult:
    """The same of a `TextRequest`.

    Raises:
        ApplianceError: there is no answer.
    """
    return _end(model, request, on_disconnect, TextResult)


def _end(
    model: ServedModel,
    request: EmbedRequest | TextRequest,
    on_disconnect: Callable[[Callable[[], None]], None],
    kind: type[E],
) -> E:
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
    if not isinstance(end, kind):  # the caller has gone
        raise ShuttingDown("the request was cancelled")
    return end


def floats(vector: bytes) -> list[float]:
    """A vector as numbers."""
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def shortened(vector: bytes, dimensions: int | None) -> bytes:
    """The first numbers of a vector, of length 1 again; None: all."""
    if dimensions is None or 4 * dimensions >= len(vector):
        return vector
    cut = floats(vector)[:dimensions]
    length = math.sqrt(sum(number * number for number in cut)) or 1.0
    return struct.pack(f"<{dimensions}f", *(number / length for number in cut))
