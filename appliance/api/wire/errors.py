"""Turns exceptions into responses, as Falcon's error handlers."""

import logging

import falcon
import msgspec

from appliance.errors import (
    ApplianceError,
    ModelNotDownloaded,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from appliance.http.errors import (
    RETRY_AFTER,
    ErrorAnswer,
    ErrorObject,
    error_object,
    make_error_object,
    status_of,
)

log = logging.getLogger(__name__)

_CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
}


def _write(resp: falcon.Response, status: int, error: ErrorObject) -> None:
    # Falcon drops a replaced stream without closing it.
    close = getattr(resp.stream, "close", None)
    if close:
        close()
    resp.stream = None
    resp.text = None
    resp.status = falcon.code_to_http_status(status)
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(ErrorAnswer(error))


def handle_appliance_error(
    req: falcon.Request, resp: falcon.Response, ex: ApplianceError, params: object
) -> None:
    """One of our errors, with the status of its class."""
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
    """One of Falcon's errors: unknown route, wrong method and the like."""
    status = ex.status_code
    message = ex.description or ex.title or "the request cannot be answered"
    if status == 404:
        message = f"there is nothing at {req.path}"
    elif status == 405:
        message = f"{req.method} is not possible at {req.path}"
    code = _CODES.get(status, "invalid_request")
    _write(resp, status, make_error_object(status, message, None, code))
    for name, value in dict(ex.headers or {}).items():
        resp.set_header(name, value)


def handle_anything(
    req: falcon.Request, resp: falcon.Response, ex: Exception, params: object
) -> None:
    """A bug: the log gets the traceback, the client one sentence."""
    log.error("%s %s failed", req.method, req.path, exc_info=ex)
    message = "the appliance failed to answer this request"
    _write(resp, 500, make_error_object(500, message, None, "internal_error"))
