"""Requests counted by route."""

import time

import falcon
from falcon.constants import HTTP_METHODS

from appliance.metrics.registry import Metrics
from appliance.metrics.request_errors import asking

GENERATIONS = ("chat", "completions")
"""What the metrics count with their errors: a `POST` that has a model write something."""


class Counting:
    """Counts every request, once, and as what its route is declared to count."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counts_as: dict[str, str] = {}

    def declare(self, path: str, counts_as: str) -> None:
        """What requests to a path count as: one of `GENERATIONS`, or, for its `GET`s, the counter
        `…_requests_total` of that name."""
        self._counts_as[path] = counts_as

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """It has come."""
        req.context.arrived = time.monotonic()

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        """It is one of the table's."""
        counts_as = self._counts_as.get(req.uri_template or "")
        if counts_as in GENERATIONS:
            if req.method == "POST":
                asking.set(self._metrics.asked(counts_as))
        elif counts_as and req.method == "GET":
            self._metrics.count(f"{counts_as}_requests_total")

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Its status is decided."""
        status = resp.status_code
        asked = asking.get()
        if asked:
            asked.answered(ok=status < 400)
            asking.set(None)  # the thread goes on to somebody else's
        if resp.get_header("X-RateLimit-Limit") is not None:
            self._metrics.count(
                "rate_limit_blocked_total" if status == 429 else "rate_limit_allowed_total"
            )
        seconds = time.monotonic() - req.context.arrived
        # Never as they were sent: strangers make up as many paths and methods as they like.
        method = req.method if req.method in HTTP_METHODS else "other"
        self._metrics.answered(method, req.uri_template or "none", status, seconds)
