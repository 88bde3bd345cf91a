"""Every metric: its name, its labels, its help. Prometheus reads them at `/metrics`.

Names without a prefix are those of the service that this one replaces, so that dashboards go on
working; those that begin with `appliance_` are ours.
"""

import threading
from collections.abc import Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from appliance.engine.protocol import EventSink
from appliance.engine.types import GenerationRequest
from appliance.metrics.recent_requests import RecentRequests
from appliance.metrics.request_meter import RequestErrors, RequestMeter
from appliance.metrics.throughput import Throughput

ORIGINAL = {
    "chat_completions_requests_total": "Chat completion requests.",
    "completions_requests_total": "Text completion requests.",
    "chat_completions_errors_total": "Chat completion requests that were refused or failed.",
    "completions_errors_total": "Text completion requests that were refused or failed.",
    "chat_generated_tokens_total": "Tokens generated for chats.",
    "completions_tokens_total": "Tokens generated for text completions.",
    "rate_limit_allowed_total": "Requests within their rate limit.",
    "rate_limit_blocked_total": "Requests refused because of their rate limit.",
    "health_check_requests_total": "Requests for /health.",
    "readiness_check_requests_total": "Requests for /readiness.",
    "models_list_requests_total": "Requests for the list of models.",
    "model_info_requests_total": "Requests for one model's description.",
    "history_requests_total": "Requests for the messages of a chat.",
}
"""Counters, and their help."""

REPLY_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
FIRST_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
BETWEEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5)
HTTP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

MOST_CALLERS = 200
"""Names beyond these are counted together: every one costs a line of each metric for ever."""
NOBODY = "none"
OTHERS = "others"


class CallerMetrics:
    """The metrics of one model and one caller."""

    def __init__(self, metrics: "Metrics", model: str, caller: str) -> None:
        self.first_token = metrics.first_token.labels(model, caller)
        self.between_tokens = metrics.between_tokens.labels(model, caller)
        self.generated = metrics.generated.labels(model, caller)
        self.prefilled = metrics.prefilled.labels(model, caller)
        self.saved = metrics.saved.labels(model, caller)
        self._replies = metrics.replies
        self._labels = (model, caller)

    def ended(self, how: str) -> None:
        """A reply ended with that reason, or that code of an error."""
        self._replies.labels(*self._labels, how).inc()


class _WithoutKeys:
    """A registry as it is seen by those whose business other keys are not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        """The metrics that name no keys."""
        for metric in self._registry.collect():
            if not any("key" in sample.labels for sample in metric.samples):
                yield metric


class Metrics:
    """All of them, in a registry of their own. Thread-safe."""

    def __init__(self, *, tracing: bool = False) -> None:
        """`tracing`: a line in the log for every reply, with its times."""
        # When each series began is no news to anybody, and would double their number.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.tracing = tracing
        self.throughput = Throughput()
        self.recent = RecentRequests()
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._plain = {
            name: Counter(name, help, registry=registry) for name, help in ORIGINAL.items()
        }
        self.tokens_of = {
            "chat": self._plain["chat_generated_tokens_total"],
            "completions": self._plain["completions_tokens_total"],
        }
        self.seconds_of = {
            kind: Histogram(name, help, buckets=REPLY_SECONDS, registry=registry)
            for kind, name, help in (
                ("chat", "chat_inference_duration_seconds", "Duration of chat replies."),
                ("completions", "completions_duration_seconds", "Duration of text completions."),
            )
        }
        by_caller = ("model", "key")
        self.first_token = Histogram(
            "appliance_time_to_first_token_seconds",
            "From a request to the first token of its reply.",
            by_caller,
            buckets=FIRST_TOKEN_SECONDS,
            registry=registry,
        )
        self.between_tokens = Histogram(
            "appliance_inter_token_seconds",
            "Time between tokens of a reply.",
            by_caller,
            buckets=BETWEEN_SECONDS,
            registry=registry,
        )
        self.generated = Counter(
            "appliance_generated_tokens_total", "Tokens generated.", by_caller, registry=registry
        )
        self.prefilled = Counter(
            "appliance_prefilled_tokens_total",
            "Prompt tokens that were computed.",
            by_caller,
            registry=registry,
        )
        self.saved = Counter(
            "appliance_saved_tokens_total",
            "Prompt tokens that were in the cache already.",
            by_caller,
            registry=registry,
        )
        self.replies = Counter(
            "appliance_replies_total",
            "Replies that ended, by finish reason or error code.",
            (*by_caller, "end"),
            registry=registry,
        )
        self._http = Counter(
            "appliance_http_requests_total",
            "HTTP requests answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._http_seconds = Histogram(
            "appliance_http_request_duration_seconds",
            "From a request's arrival to its answer, or to the beginning of a stream.",
            ("route",),
            buckets=HTTP_SECONDS,
            registry=registry,
        )
        self._lock = threading.Lock()
        self._callers: dict[tuple[str, str], CallerMetrics] = {}

    def add(self, collector: Collector) -> None:
        """Have something read at every scrape."""
        self._registry.register(collector)

    def render(self, accept: str, *, of_keys: bool = True) -> tuple[bytes, str]:
        """All metrics as text, and its media type, as an `Accept` header wishes.

        `of_keys`: also those that name keys.
        """
        encode, media_type = choose_encoder(accept)
        shown = self._registry if of_keys else _WithoutKeys(self._registry)
        return encode(shown), media_type

    # -- counting ----------------------------------------------------------------------------------

    def count(self, name: str) -> None:
        """One more of a counter of `ORIGINAL`."""
        self._plain[name].inc()

    def start_request(self, kind: str) -> RequestErrors:
        """A request for `chat` or `completions` has come."""
        prefix = "chat_completions" if kind == "chat" else kind
        self.count(f"{prefix}_requests_total")
        return RequestErrors(self._plain[f"{prefix}_errors_total"].inc)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered."""
        self._http.labels(method, route, str(status)).inc()
        self._http_seconds.labels(route).observe(seconds)

    def watch(self, model: str, request: GenerationRequest, sink: EventSink) -> RequestMeter:
        """What to put before the sink of a request to a model."""
        return RequestMeter(self, model, request.caller, request.owner, request.prompt, sink)

    def of(self, model: str, caller: str) -> CallerMetrics:
        """The metrics of a model and of a caller, by name; empty: no caller was named."""
        caller = caller or NOBODY
        with self._lock:
            if (model, caller) not in self._callers:
                known = {name for _, name in self._callers}
                if caller not in known and len(known) >= MOST_CALLERS:
                    caller = OTHERS
            return self._callers.setdefault((model, caller), CallerMetrics(self, model, caller))
