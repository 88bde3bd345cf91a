"""Requests counted by route, and the metrics for Prometheus."""

import time

import falcon
from falcon.constants import HTTP_METHODS

from appliance.api.openapi.operation import Operations
from appliance.metrics.registry import Metrics
from appliance.metrics.request_errors import asking

operation = Operations("Appliance")

_ASKING = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/api/sessions/{session_id}/turns": "chat",
    "/api/sessions/{session_id}/messages/{message_id}/regenerate": "chat",
    "/api/sessions/{session_id}/messages/{message_id}/continue": "chat",
}
"""Routes that ask a model for something, without the prefix `/v1`."""

_COUNTERS = {
    "/health": "health_check_requests_total",
    "/readiness": "readiness_check_requests_total",
    "/models": "models_list_requests_total",
    "/models/{model:path}": "model_info_requests_total",
    "/chat/history/{session_id}": "history_requests_total",
    "/api/sessions/{session_id}/messages": "history_requests_total",
}


class Counting:
    """Counts every request, once, and what it asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """It has come."""
        req.context.arrived = time.monotonic()

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: object
    ) -> None:
        """It is one of the table's."""
        route = (req.uri_template or "").removeprefix("/v1")
        if req.method == "GET" and route in _COUNTERS:
            self._metrics.count(_COUNTERS[route])
        if req.method == "POST" and route in _ASKING:
            asking.set(self._metrics.asked(_ASKING[route]))

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


class MetricsText:
    """`[observability] metrics_path`"""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @operation(gives="text/plain")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Metrics for Prometheus."""
        resp.data, resp.content_type = self._metrics.render(req.get_header("Accept") or "")
