"""Requests counted by route."""

import time

import falcon
from falcon.constants import HTTP_METHODS

from appliance.metrics.registry import Metrics
from appliance.metrics.request_meter import current_request, current_route

GENERATIONS = ("chat", "completions")
"""Kinds of requests that have a model generate; their errors are counted as well."""


class RequestMetrics:
    """Counts every request, once, and as what its route is declared to count."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counts_as: dict[str, str] = {}

    def declare(self, path: str, counts_as: str) -> None:
        """What requests to a path count as: one of `GENERATIONS`, or, for its `GET`s, the counter
        `…_requests_total` of that name."""
        self._counts_as[path] = counts_as

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A request has arrived."""
        req.context.arrived = time.monotonic()

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        """Its route is known."""
        current_route.set(req.uri_template or "")
        counts_as = self._counts_as.get(req.uri_template or "")
        if counts_as in GENERATIONS:
            if req.method == "POST":
                current_request.set(self._metrics.start_request(counts_as))
        elif counts_as and req.method == "GET":
            self._metrics.count(f"{counts_as}_requests_total")

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool
    ) -> None:
        """Its status is known."""
        status = resp.status_code
        seconds = time.monotonic() - req.context.arrived
        request = current_request.get()
        if request:
            request.answered(ok=status < 400)
            caller = getattr(req.context, "caller", None)
            if status >= 400 and caller and not request.listed:
                id = resp.get_header("X-Request-Id") or ""
                route = req.uri_template or ""
                self._metrics.recent.refuse(caller.owner, id, route, status, seconds)
            current_request.set(None)  # the thread moves on to another request
        current_route.set("")
        if getattr(req.context, "limited", False) and resp.get_header("X-RateLimit-Limit"):
            self._metrics.count(
                "rate_limit_blocked_total" if status == 429 else "rate_limit_allowed_total"
            )
        # Never as they were sent: anybody can make up any number of paths and methods.
        method = req.method if req.method in HTTP_METHODS else "other"
        self._metrics.answered(method, req.uri_template or "none", status, seconds)
