"""Errors as HTTP: one shape, `{"error": {"message", "type", "param", "code"}}`, everywhere."""

import logging
from typing import Any

import falcon
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
    TooManyRequests,
    Unauthorized,
    Unavailable,
    WrongHost,
)

log = logging.getLogger(__name__)

RETRY_AFTER = 2
"""Seconds that a client is told to wait when the appliance is not ready or has too much to do."""

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
    (NoSpace, 507),
    (ApplianceError, 500),
]

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""OpenAI's types of errors; any other is the request's or the server's."""

_CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
}


def status_of(error: ApplianceError) -> int:
    """The HTTP status of an error."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def error_object(error: ApplianceError) -> dict[str, Any]:
    """The error as it stands in bodies and streams."""
    return _object(status_of(error), error.message, error.param, error.code)


def _object(status: int, message: str, param: str | None, code: str) -> dict[str, Any]:
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _write(resp: falcon.Response, status: int, body: dict[str, Any]) -> None:
    # Falcon lets go of a replaced stream without closing it.
    close = getattr(resp.stream, "close", None)
    if close:
        close()
    resp.stream = None
    resp.text = None
    resp.status = falcon.code_to_http_status(status)
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(body)


def handle_appliance_error(
    req: falcon.Request, resp: falcon.Response, ex: ApplianceError, params: object
) -> None:
    """Ours: the status of its class."""
    status = status_of(ex)
    if status == 500:
        log.error("%s", ex, exc_info=ex)
    _write(resp, status, error_object(ex))
    if isinstance(ex, Unavailable) and not isinstance(ex, ModelNotDownloaded):
        resp.set_header("Retry-After", str(RETRY_AFTER))
    elif isinstance(ex, TooManyRequests):
        resp.set_header("Retry-After", str(ex.retry_after))
    elif isinstance(ex, Unauthorized):
        resp.set_header("WWW-Authenticate", "Bearer")


def handle_http_error(
    req: falcon.Request, resp: falcon.Response, ex: falcon.HTTPError, params: object
) -> None:
    """Falcon's: unknown route, wrong method and the like."""
    status = ex.status_code
    message = ex.description or ex.title or "the request cannot be served"
    if status == 404:
        message = f"there is nothing at {req.path}"
    elif status == 405:
        message = f"{req.method} is not possible at {req.path}"
    _write(resp, status, _object(status, message, None, _CODES.get(status, "invalid_request")))
    for name, value in dict(ex.headers or {}).items():
        resp.set_header(name, value)


def handle_anything(
    req: falcon.Request, resp: falcon.Response, ex: Exception, params: object
) -> None:
    """A fault of ours: logged whole, told in one sentence."""
    log.error("%s %s failed", req.method, req.path, exc_info=ex)
    _write(resp, 500, _object(500, "the appliance failed on this request", None, "internal_error"))
