"""Around every request: its id, its log line, safe headers."""

import logging
import re
import secrets
import time

import falcon
from structlog.contextvars import bind_contextvars, clear_contextvars

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Gives each request an id, which all its log lines carry, and logs its outcome."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Use the client's `X-Request-Id` if it is a plain one, else a new id."""
        given = req.get_header("X-Request-Id") or ""
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        resp.set_header("X-Request-Id", request_id)
        req.context.began = time.monotonic()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Log one line; for a stream, when it begins."""
        seconds = time.monotonic() - req.context.began
        # What is polled every second would hide the rest.
        quiet = req.method == "GET" and resp.status_code < 400
        log.log(
            logging.DEBUG if quiet else logging.INFO,
            "%s %s %d",
            req.method,
            req.path,
            resp.status_code,
            extra={"seconds": round(seconds, 4), "client": req.remote_addr},
        )
        clear_contextvars()


class SafeHeaders:
    """Keeps browsers from guessing content types and sending referrers."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Add the headers to every response."""
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Referrer-Policy", "no-referrer")
        if req.path.startswith("/assets/") and resp.status_code == 200:
            # Their names contain a hash of their content.
            resp.cache_control = ["public", "max-age=31536000", "immutable"]
