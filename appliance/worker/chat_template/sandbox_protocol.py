"""What a worker and the processes that render its chat template and check grammars send each other.

Frames of MessagePack. The child sends one `Started`, and then one answer to each request.
"""

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import msgspec

from appliance.system.framing import frame, read_frame

TIME_LIMIT = 2.0
"""Seconds of a processor for compiling, each rendering and each check. The worker sees to it."""
TIMEOUT = 30.0
"""Seconds by the clock after which the machine counts as too busy."""
MEMORY_LIMIT = 256 * 1024 * 1024
"""Bytes for compiling and rendering, besides what the child needs itself. The child sees to it."""

# -- worker → child --------------------------------------------------------------------------------


class Compile(msgspec.Struct, frozen=True, tag="compile"):
    """The template to render from now on; answered by `Compiled` or `TemplateRefused`."""

    source: str | None
    """None: ChatML."""
    bos: str
    eos: str
    special_tokens: list[str]


class Render(msgspec.Struct, frozen=True, tag="render"):
    """A chat; answered by `Rendered` or `TemplateRefused`. See `ChatTemplate.render`."""

    messages: Sequence[Any]
    tools: Sequence[Mapping[str, Any]] | None = None
    variables: Mapping[str, Any] | None = None
    as_is: bool = False


class CheckGrammar(msgspec.Struct, frozen=True, tag="check"):
    """A grammar of llguidance; answered by `Checked`."""

    grammar: str


SandboxRequest = Compile | Render | CheckGrammar

# -- child → worker --------------------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True, tag="started"):
    """Everything is imported, and the limits are in force."""


class Compiled(msgspec.Struct, frozen=True, tag="compiled"):
    """The template can be rendered."""


class Rendered(msgspec.Struct, frozen=True, tag="rendered"):
    """A prompt."""

    segments: list[tuple[str, bool]]


class Checked(msgspec.Struct, frozen=True, tag="checked"):
    """Why a grammar can't be used; None: it can."""

    refusal: str | None


class TemplateRefused(msgspec.Struct, frozen=True, tag="refused"):
    """It can't be done; the message is for a person."""

    message: str


class OutOfMemory(msgspec.Struct, frozen=True, tag="out_of_memory"):
    """It takes more memory than there is; the child ends."""


SandboxAnswer = Started | Compiled | Rendered | Checked | TemplateRefused | OutOfMemory

# -- frames ----------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(SandboxRequest)
_answers = msgspec.msgpack.Decoder(SandboxAnswer)


def encode(message: SandboxRequest | SandboxAnswer) -> bytes:
    """One whole frame."""
    return frame(_encoder.encode(message))


def read_request(pipe: BinaryIO) -> SandboxRequest | None:
    """The next request; None when the worker is gone.

    Raises:
        ValueError: what came is not of this protocol (`msgspec.ValidationError` included).
    """
    body = read_frame(pipe)
    return None if body is None else _requests.decode(body)


def read_answer(pipe: BinaryIO) -> SandboxAnswer | None:
    """The next answer; None when the child is gone.

    Raises:
        ValueError: what came is not of this protocol (`msgspec.ValidationError` included).
    """
    body = read_frame(pipe)
    return None if body is None else _answers.decode(body)
