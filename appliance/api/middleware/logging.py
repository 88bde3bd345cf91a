"""What happens around every request: its id, its line in the log, safe headers."""

import logging
import re
import secrets
import time

import falcon
from structlog.contextvars import bind_contextvars, clear_contextvars

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestLog:
    """Gives each request an id, which every log line about it carries, and logs how it went."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The client's `X-Request-Id` if it is a plain one, else an id of ours."""
        given = req.get_header("X-Request-Id") or ""
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        resp.set_header("X-Request-Id", request_id)
        req.context.began = time.monotonic()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """One line; of a stream, it tells of its beginning."""
        seconds = time.monotonic() - req.context.began
        # What is polled every second would drown the rest.
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
    """Headers that keep browsers from guessing and telling."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """On every response."""
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Referrer-Policy", "no-referrer")
        if req.path.startswith("/assets/") and resp.status_code == 200:
            # Their names carry a hash of what is in them.
            resp.cache_control = ["public", "max-age=31536000", "immutable"]
