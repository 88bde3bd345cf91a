"""What requests may contain. An unknown field is refused by name, a wrong type with its place."""

import re
from typing import Annotated, Any, TypeVar

import falcon
import msgspec
from msgspec import Meta

from appliance.config.schema import DEVICE_PATTERN, DEVICES
from appliance.engine.types import SamplingParams
from appliance.errors import RequestError

T = TypeVar("T")

Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Tokens = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
SEEDS = 2**32 - 1
"""Of llama.cpp's, which takes the last number of 32 bits for "any"."""
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
StopTexts = StopText | Annotated[list[StopText], Meta(max_length=16)]


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A JSON object."""


TopK = Annotated[int, Meta(ge=0, le=2**31 - 1)]
RepeatPenalty = Annotated[float, Meta(ge=0.1, le=10)]


class Sampling(Body, kw_only=True, frozen=True):
    """Sampling fields, OpenAI's names and llama.cpp's beside them. Null means the default."""

    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repeat_penalty: RepeatPenalty | None = None
    seed: Seed | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    stop: StopTexts | None = None
    max_tokens: Tokens | None = None
    ignore_eos: bool | None = None
    """The reply is as long as it may be: the model cannot end it."""

    def params(self, max_response_tokens: int) -> SamplingParams:
        """For the engine; at most `max_response_tokens`."""
        given = {name: value for name in _PLAIN if (value := getattr(self, name)) is not None}
        if self.seed is not None:
            given["seed"] = self.seed % SEEDS
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        wanted = self.wanted_tokens()
        limit = max_response_tokens if wanted is None else min(wanted, max_response_tokens)
        return SamplingParams(**given, **self.further(), stop=stop, max_tokens=limit)

    def further(self) -> dict[str, Any]:
        """Parameters that only some endpoints take."""
        return {}

    def wanted_tokens(self) -> int | None:
        """How long a reply the caller wants."""
        return self.max_tokens


_PLAIN = (
    *("temperature", "top_p", "top_k", "min_p"),
    *("repeat_penalty", "frequency_penalty", "presence_penalty", "ignore_eos"),
)
"""Fields that mean what `SamplingParams` means by the same name."""


_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"contains unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")


def decode(req: falcon.Request, kind: type[T], *, empty: T | None = None) -> T:
    """The request's body as `kind`; `empty` stands for a body that is not there.

    Raises:
        RequestError: it is no JSON or not of that kind; `param` names the field.
        falcon.HTTPUnsupportedMediaType: it does not say that it is JSON.
    """
    if not req.content_length and empty is not None:
        return empty
    found: T = decode_json(read_json(req), kind)
    return found


def read_json(req: falcon.Request) -> bytes:
    """The request's body.

    Raises:
        falcon.HTTPUnsupportedMediaType: it does not say that it is JSON.
    """
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_JSON:
        # Also what keeps out other pages' forms: a browser sends this type only after asking.
        raise falcon.HTTPUnsupportedMediaType(
            description="the body must be JSON, with Content-Type: application/json"
        )
    body: bytes = req.bounded_stream.read()
    return body


def decode_json(body: bytes | str, kind: Any) -> Any:
    """JSON as `kind`, a type or a union of tagged ones.

    Raises:
        RequestError: it is no JSON or not of that kind; `param` names the field.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as ex:
        raise _explained(str(ex)) from ex
    except (msgspec.DecodeError, UnicodeError, RecursionError) as ex:
        raise RequestError(f"the body is not JSON: {ex}") from ex


def decode_query(req: falcon.Request, kind: type[T]) -> T:
    """The query's parameters as `kind`.

    Raises:
        RequestError: one is unknown or wrong; `param` names it.
    """
    try:
        return msgspec.convert(req.params, kind, strict=False)
    except msgspec.ValidationError as ex:
        raise _explained(str(ex)) from ex


def _explained(text: str) -> RequestError:
    place = _PLACE.search(text)
    path = place["path"] if place else ""
    message = _PLACE.sub("", text)
    if unknown := _UNKNOWN.search(message):
        path = ".".join(filter(None, (path, unknown["field"])))
        return RequestError(f"{path} is not a field of this request", param=path)
    if missing := _MISSING.search(message):
        path = ".".join(filter(None, (path, missing["field"])))
        return RequestError(f"{path} is missing", param=path)
    if DEVICE_PATTERN in message:
        return RequestError(f"{path}: needs {DEVICES}", param=path)
    if message.startswith("Expected `null`"):
        return RequestError(f"{path} is not supported here and has to be left out", param=path)
    return RequestError(f"{path}: {message}" if path else message, param=path or None)
