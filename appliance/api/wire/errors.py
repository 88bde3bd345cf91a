"""Turns exceptions into responses, as Falcon's error handlers.

The format is our own, unless the resource or the request asks for another dialect's.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

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


ErrorFormat = Callable[[int, ErrorObject, str], Any]
"""The body of an error of one dialect, by its status, what went wrong, and the request's id."""


class ErrorFormats:
    """Finds out how a client wants its errors, before anything can go wrong with its request."""

    def __init__(self, by_header: Mapping[str, ErrorFormat]) -> None:
        """`by_header`: the dialect of requests with a header, whatever their route."""
        self._by_header = by_header

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """By the headers."""
        for name, format in self._by_header.items():
            if req.get_header(name) is not None:
                req.context.error_format = format

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        """By the resource, which may have an `error_format`, or a function `error_format_of` that
        finds it by the request."""
        format = getattr(resource, "error_format", None)
        if format is not None:
            req.context.error_format = format
        choose = getattr(resource, "error_format_of", None)
        if choose is not None:
            req.context.choose_error_format = choose


def _own_format(_status: int, error: ErrorObject, _request_id: str) -> ErrorAnswer:
    return ErrorAnswer(error)


def _write(req: falcon.Request, resp: falcon.Response, status: int, error: ErrorObject) -> None:
    # Falcon drops a replaced stream without closing it.
    close = getattr(resp.stream, "close", None)
    if close:
        close()
    resp.stream = None
    resp.text = None
    resp.status = falcon.code_to_http_status(status)
    resp.content_type = falcon.MEDIA_JSON
    format: ErrorFormat = getattr(req.context, "error_format", _own_format)
    choose: Callable[[falcon.Request], ErrorFormat | None] | None
    choose = getattr(req.context, "choose_error_format", None)
    format = (choose and choose(req)) or format
    request_id = resp.get_header("X-Request-Id") or ""
    resp.data = msgspec.json.encode(format(status, error, request_id))


def handle_appliance_error(
    req: falcon.Request, resp: falcon.Response, ex: ApplianceError, params: object
) -> None:
    """One of our errors, with the status of its class."""
    status = status_of(ex)
    if status == 500:
        log.error("%s", ex, exc_info=ex)
    _write(req, resp, status, error_object(ex))
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
    _write(req, resp, status, make_error_object(status, message, None, code))
    for name, value in dict(ex.headers or {}).items():
        resp.set_header(name, value)


def handle_anything(
    req: falcon.Request, resp: falcon.Response, ex: Exception, params: object
) -> None:
    """A bug: the log gets the traceback, the client one sentence."""
    log.error("%s %s failed", req.method, req.path, exc_info=ex)
    message = "the appliance failed to answer this request"
    _write(req, resp, 500, make_error_object(500, message, None, "internal_error"))
