"""Decodes requests. An unknown field is refused by its name, a wrong value by its path."""

from typing import Any, TypeVar

import falcon
import msgspec

from appliance.config.schema import DEVICE_PATTERN, DEVICES
from appliance.config.validation import ValidationFault
from appliance.errors import RequestError

T = TypeVar("T")


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A JSON object."""


def decode(req: falcon.Request, kind: type[T], *, empty: T | None = None) -> T:
    """The request's body as `kind`; `empty` is used if there is no body.

    Raises:
        RequestError: it is not JSON or not of that kind; `param` names the field.
        falcon.HTTPUnsupportedMediaType: its type is not JSON.
    """
    if not req.content_length and empty is not None:
        return empty
    found: T = decode_json(read_json(req), kind)
    return found


def read_json(req: falcon.Request) -> bytes:
    """The request's body, which can be read again.

    Raises:
        falcon.HTTPUnsupportedMediaType: its type is not JSON.
    """
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_JSON:
        # This also keeps out other pages' forms: browsers send this type only after a preflight.
        raise falcon.HTTPUnsupportedMediaType(
            description="the body must be JSON, with Content-Type: application/json"
        )
    if not hasattr(req.context, "body"):
        req.context.body = req.bounded_stream.read()
    body: bytes = req.context.body
    return body


def decode_json(body: bytes | str, kind: Any) -> Any:
    """JSON as `kind`, a type or a union of tagged ones.

    Raises:
        RequestError: it is not JSON or not of that kind; `param` names the field.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as ex:
        raise _request_error(ex) from ex
    except (msgspec.DecodeError, UnicodeError, RecursionError) as ex:
        raise RequestError(f"the body is not JSON: {ex}") from ex


def decode_fields(body: bytes | str) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object, with values that are not decoded.

    Raises:
        RequestError: it is not a JSON object.
    """
    found: dict[str, msgspec.Raw] = decode_json(body, dict[str, msgspec.Raw])
    return found


def check_length(name: str, length: int, most: int, *, param: str | None = None) -> None:
    """Refuse text of more than `most` characters.

    Args:
        name: what has that length, for people.
        length: of the text, in characters.
        most: that are allowed.
        param: the field at fault; None: `name` is.

    Raises:
        RequestError: it is too long.
    """
    if length > most:
        raise RequestError(
            f"{name} has {length} characters, at most {most} are allowed", param=param or name
        )


def decode_query(req: falcon.Request, kind: type[T]) -> T:
    """The query parameters as `kind`.

    Raises:
        RequestError: one is unknown or wrong; `param` names it.
    """
    try:
        return msgspec.convert(req.params, kind, strict=False)
    except msgspec.ValidationError as ex:
        raise _request_error(ex) from ex


def _request_error(error: msgspec.ValidationError) -> RequestError:
    fault = ValidationFault.parse(str(error))
    field = fault.field
    if fault.kind == "unknown":
        return RequestError(f"{field} is not a field of this request", param=field)
    if fault.kind == "missing":
        return RequestError(f"{field} is missing", param=field)
    if DEVICE_PATTERN in fault.message:
        return RequestError(f"{field}: needs {DEVICES}", param=field)
    if fault.message.startswith("Expected `null`"):
        return RequestError(f"{field} is not supported here and has to be left out", param=field)
    if field:
        return RequestError(f"{field}: {fault.message}", param=field)
    return RequestError(fault.message)
