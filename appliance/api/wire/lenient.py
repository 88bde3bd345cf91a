"""Decodes requests of other services' APIs, whose servers ignore unknown fields."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import falcon
import msgspec

from appliance.api.wire.bodies import decode_json, read_json
from appliance.errors import RequestError

T = TypeVar("T", bound=msgspec.Struct)

MOST_LISTED = 20
"""Ignored fields that are named to the client."""
LONGEST_NAME = 64


class Lenient(msgspec.Struct, kw_only=True, frozen=True):
    """A JSON object; fields that it doesn't have are ignored, except those of `NOT_HERE`."""

    NOT_HERE: ClassVar[Mapping[str, Any]] = {}
    """Fields of other servers that change what the answer is, and the value of each that doesn't:
    with others, the request is refused."""


def decode_lenient(req: falcon.Request, kind: type[T]) -> tuple[T, str | None]:
    """The request's body as `kind`, and a sentence about fields that were ignored, if any.

    Raises:
        RequestError: it is not JSON or not of that kind; `param` names the field.
        falcon.HTTPUnsupportedMediaType: its type is not JSON.
    """
    return parse_lenient(read_json(req), kind)


def decode_any_type(req: falcon.Request, kind: type[T]) -> tuple[T, str | None]:
    """As `decode_lenient`, whatever type the client says the body has: where that may be so is up
    to the route's rule. No body is an empty object.

    Raises:
        RequestError: it is not JSON or not of that kind; `param` names the field.
    """
    return parse_lenient(req.bounded_stream.read() or b"{}", kind)


def parse_lenient(body: bytes, kind: type[T]) -> tuple[T, str | None]:
    """As `decode_lenient`, of a body that was read."""
    found: T = decode_json(body, kind)
    raw = msgspec.json.decode(body)
    for name, harmless in getattr(kind, "NOT_HERE", {}).items():
        if raw.get(name) not in (None, harmless, [], ""):
            raise RequestError(f"{name} is not supported here", param=name)
    return found, ignored(list(dict.fromkeys(unknown_fields(raw, found))))


def ignored(names: Sequence[str]) -> str | None:
    """A sentence about fields that were ignored; None: none was."""
    if not names:
        return None
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"ignored: {', '.join(names[:MOST_LISTED])}{more}"


def shown(name: str) -> str:
    """A field's name as a header may have it."""
    return name[:LONGEST_NAME] if name.isprintable() else "?"


def unknown_fields(raw: Any, value: Any) -> Iterator[str]:
    """Where `raw`, as it was sent, has fields that `value`, decoded from it, has not. A field that
    is null was not given."""
    # Not by recursion: what a client nests may be deeper than Python's stack.
    waiting = [(raw, value, "")]
    while waiting:
        raw, value, path = waiting.pop()
        if isinstance(raw, list) and isinstance(value, list):
            inside = f"{path}[]"
            waiting += [(*pair, inside) for pair in zip(raw, value, strict=True)][::-1]
        elif isinstance(raw, dict) and isinstance(value, msgspec.Struct):
            known = dict(zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True))
            tag = value.__struct_config__.tag_field
            dot = f"{path}." if path else ""
            for name, item in raw.items():
                if name in known:
                    waiting.append((item, getattr(value, known[name]), f"{dot}{name}"))
                elif item is not None and name != tag:
                    yield f"{dot}{shown(name)}"
