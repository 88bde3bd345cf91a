"""Errors as HTTP: one format, `{"error": {"message", "type", "param", "code"}}`, everywhere."""

import msgspec

from appliance.errors import (
    ApplianceError,
    Conflict,
    ModelNotDownloaded,
    NoSpace,
    NotAllowed,
    NotFound,
    QueueFull,
    RequestError,
    StoreFull,
    StoreReadOnly,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    WrongHost,
)

RETRY_AFTER = 2
"""Seconds that a client is asked to wait when the appliance is not ready or too busy."""

_STATUS: list[tuple[type[ApplianceError], int]] = [
    (NotFound, 404),
    (ModelNotDownloaded, 404),
    (Conflict, 409),
    (Unauthorized, 401),
    (WrongHost, 421),
    (TooManyRequests, 429),
    (NotAllowed, 403),
    (RequestError, 400),
    (QueueFull, 503),
    (Unavailable, 503),
    (StoreFull, 507),
    (StoreReadOnly, 503),
    (NoSpace, 507),
    (ApplianceError, 500),
]

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""OpenAI's error types; any other is the request's or the server's."""


def status_of(error: ApplianceError) -> int:
    """The HTTP status of an error."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


class ErrorObject(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: a sentence for people, a code for programs, the field at fault."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every error."""

    error: ErrorObject


def error_object(error: ApplianceError) -> ErrorObject:
    """An error as bodies and streams have it."""
    return make_error_object(status_of(error), error.message, error.param, error.code)


def make_error_object(status: int, message: str, param: str | None, code: str) -> ErrorObject:
    """The same, from its parts."""
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return ErrorObject(message=message, type=kind, param=param, code=code)
