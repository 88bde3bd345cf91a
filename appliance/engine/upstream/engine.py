"""The service's side of an upstream: vLLM, SGLang, Ray Serve LLM, llama-server and their like.

Keeps the contract of `engine.base.Engine`. A thread for each running request, kept for later ones,
and one for health checks. Sinks are called on the request's thread, or on the one that ended the
request before the upstream had answered; they must not block.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing

from appliance.engine.base import EngineState
from appliance.engine.counters import Counters, RequestStats
from appliance.engine.fair_queue import FairQueue, is_full
from appliance.engine.protocol import (
    Accepted,
    Begun,
    Embedded,
    EventSink,
    Finished,
    SequenceEvent,
    Terminal,
)
from appliance.engine.types import (
    ChatPrompt,
    EmbedRequest,
    GenerationRequest,
    TextPrompt,
    TextRequest,
    TokenPrompt,
)
from appliance.engine.upstream.client import UpstreamClient
from appliance.engine.upstream.health_check import HealthCheck
from appliance.engine.upstream.request import (
    UpstreamEmbedding,
    UpstreamGeneration,
    UpstreamRequest,
)
from appliance.engine.upstream.request_body import RequestBody, UpstreamFailure
from appliance.errors import (
    ApplianceError,
    InternalError,
    QueueFull,
    RequestError,
    ShuttingDown,
    Unavailable,
    WorkerDied,
)

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 600.0
"""Seconds of silence; an upstream may have many others to serve first."""
CLOSE_SECONDS = 5.0

UNCOUNTED = "it reports no token counts: chunks are counted as tokens, a prompt's are unknown"


class UpstreamEngine:
    """One model of an upstream. Thread-safe."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        model: str,
        api_key: str | None = None,
        parallel: int,
        max_waiting: int,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        """
        Args:
            name: the model's name here.
            url: the upstream's address, such as `http://host:8000/v1`. It is reached directly: no
                proxy of the environment is used, and no redirect followed.
            model: the model's name there.
            api_key: sent to the upstream as a bearer token, and nowhere else.
            parallel: requests that run at once.
            max_waiting: requests that may wait for one of them to end.
            connect_timeout: seconds, for each attempt.
            read_timeout: seconds of silence.

        Raises:
            ConfigError: `url` is no address, or has a password in it.
        """
        self.name = name
        self._model = model
        self._parallel = parallel
        self._max_requests = parallel + max_waiting
        self._api = UpstreamClient(
            url, model, api_key, connect_timeout=connect_timeout, read_timeout=read_timeout
        )
        self._health = HealthCheck(name, self._api, parallel)
        self._omitted: set[str] = set()
        self._lock = threading.Lock()
        self._closed = self._retired = False
        self._requests: dict[int, UpstreamRequest] = {}
        self._stats = RequestStats()
        self._ids = itertools.count(1)
        self._queue = FairQueue[UpstreamRequest]()
        self._queue_changed = threading.Condition(self._lock)
        """There is one more in the queue, or there will be no more."""
        self._unfinished = 0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to check whether the upstream is there; returns at once."""
        self._health.start()

    @property
    def state(self) -> EngineState:
        """A snapshot. `failed`: the upstream was not ready at the last check; `detail` says why,
        it is checked again, and requests are tried all the same."""
        return self._health.state

    @property
    def busy(self) -> bool:
        """Requests are in flight."""
        return bool(self._requests)

    def retire(self) -> bool:
        """Accept no more requests, unless some are in flight; whether that is so now."""
        with self._lock:
            self._retired = self._retired or not self._requests
            return self._retired

    @property
    def counters(self) -> Counters:
        """What it has done, as far as the upstream reports."""
        return self._stats.counters()

    @property
    def worker_pid(self) -> None:
        """There is no process of ours."""
        return

    def wait_ready(self, timeout: float) -> bool:
        """Whether the upstream was ready within `timeout` seconds; False at once when it isn't."""
        return self._health.wait_ready(timeout)

    def submit(
        self,
        request: GenerationRequest,
        sink: EventSink,
        begun: Begun | None = None,  # noqa: ARG002 - a reply there can't be gone on with
    ) -> int:
        """Have a prompt completed; `sink` gets every event, the last one being terminal.

        Whatever was `begun` of the reply, it is written anew. A request that is to be reproducible
        is refused: nobody here could promise it.
        `Accepted` comes with the upstream's first chunk. Its `prompt_tokens` are 0 unless the
        upstream counts them that early; `Finished` has them. There is no `Prefill`.

        Raises:
            QueueFull, ShuttingDown, RequestError: nothing was submitted.
        """
        if request.sampling.reproducible:
            message = f"{self.name} runs elsewhere: its replies can't be promised to be the same"
            raise RequestError(message, param="reproducible")
        return self._take(lambda id: UpstreamGeneration(id, request, sink), request.owner)

    def embed(self, request: EmbedRequest | TextRequest, sink: EventSink) -> int:
        """Have vectors made of the inputs, as the upstream makes them; like `submit`."""
        if isinstance(request, TextRequest) or request.query is not None:
            raise RequestError(f"{self.name} runs elsewhere, which this is not asked of")
        return self._take(lambda id: UpstreamEmbedding(id, request, sink), request.owner)

    def _take(self, make: Callable[[int], UpstreamRequest], owner: str) -> int:
        with self._lock:
            if self._closed or self._retired:
                raise ShuttingDown("the appliance is shutting down")
            owners = [request.owner for request in self._requests.values()]
            if is_full(owners, owner, self._max_requests):
                raise QueueFull(f"{len(self._requests)} requests are waiting for {self.name}")
            request = make(next(self._ids))
            self._requests[request.id] = request
            self._stats.submitted(request.id)
            self._unfinished += 1
            if len(self._threads) < min(self._parallel, self._unfinished):
                thread = threading.Thread(
                    target=self._serve, name=f"upstream {self.name} request", daemon=True
                )
                self._threads.append(thread)
                thread.start()
            self._queue.add(request)
            self._queue_changed.notify()
        return request.id

    def cancel(self, id: int) -> None:
        """End a request; its sink gets `Finished`. One that has ended already is no error."""
        with self._lock:
            request = self._requests.get(id)
        if request:
            self._stop(request, None)

    def forget(self, session: str) -> None:
        """A session was deleted. Nothing of it is kept here."""

    def close(self) -> None:
        """Every open request fails. Returns when all is gone, or hangs in a connection attempt."""
        with self._lock:
            self._closed = True
            requests = list(self._requests.values())
        self._health.stop()
        for request in requests:
            self._stop(request, ShuttingDown("the appliance is shutting down"))
        with self._lock:
            self._queue_changed.notify_all()
        deadline = time.monotonic() + CLOSE_SECONDS
        for join in (self._health.join, *(thread.join for thread in self._threads)):
            join(max(0.0, deadline - time.monotonic()))
        self._api.close()

    def _stop(self, request: UpstreamRequest, error: ApplianceError | None) -> None:
        """End a request early. Its thread sends the last event if it has sent the first."""
        with self._lock:
            if not request.stopped:
                request.stopped = True
                request.error = error
            by_thread = request.accepted
        request.connection.abort()
        if not by_thread:
            self._deliver(request, request.stop_event())

    # -- a request's thread ----------------------------------------------------------------------

    def _serve(self) -> None:
        while request := self._next():
            last: Terminal
            try:
                request.begin()
                if isinstance(request, UpstreamEmbedding):
                    self._embed(request)
                elif isinstance(request, UpstreamGeneration) and not request.stopped:
                    self._generate(request)
                last = request.ended()
            except ApplianceError as ex:
                last = request.failed(ex)
                fault = isinstance(ex, Unavailable) and not isinstance(ex, QueueFull)
                if fault and not request.stopped:
                    self._health.report(ok=False)
            except Exception:
                log.exception("a request to %s failed", self.name)
                last = request.failed(InternalError("the request to the upstream failed"))
            request.connection.close()
            self._deliver(request, request.stop_event() if request.stopped else last)
            with self._lock:
                self._unfinished -= 1

    def _next(self) -> UpstreamRequest | None:
        """Whose turn it is; None: there will be no more."""
        with self._queue_changed:
            self._queue_changed.wait_for(lambda: self._queue or self._closed)
            request = next(iter(self._queue), None)
            if request:
                self._queue.served(request)
            return request

    def _generate(self, request: UpstreamGeneration) -> None:
        """Request it until the upstream accepts it, and pass on the reply.

        Raises:
            ApplianceError: there was no reply, or no whole one.
        """
        if request.prompt in (TextPrompt(""), TokenPrompt([])):
            raise RequestError("the prompt is empty", param="prompt")
        body = RequestBody(
            self._model, request.prompt, request.sampling, request.seed, self._omitted
        )
        if request.count_only and self._count(request, body):
            return
        problem = "it stopped in the middle"
        while True:
            try:
                self._stream(request, body)
            except UpstreamFailure as failure:
                if request.accepted or request.stopped:
                    problem = failure.error.message
                elif body.adapt(failure):
                    continue
                else:
                    if isinstance(failure.error, RequestError):
                        failure.error.param = body.param
                    raise failure.error from failure
            break
        if request.stopped:
            return
        # A reply with a finish reason is whole, even if the stream did not end as it should.
        if request.reason is None:
            raise WorkerDied(f"the reply of {self.name} broke off: {problem}")
        self._report_success(request)

    def _count(self, request: UpstreamGeneration, body: RequestBody) -> bool:
        """Whether the upstream counted the prompt; otherwise it counts what it reads."""
        if not isinstance(request.prompt, ChatPrompt):
            return False
        count = self._api.count(body.prompt_fields(), request.connection)
        if count is None or request.stopped:
            return request.stopped
        self._deliver(request, Accepted(request.id, count, request.seed))
        request.reason = "length"
        self._health.report(ok=True)
        return True

    def _embed(self, request: UpstreamEmbedding) -> None:
        """Request them once.

        Raises:
            ApplianceError: there are no vectors.
        """
        extra = {} if request.dimensions is None else {"dimensions": request.dimensions}
        try:
            found = self._api.embed(request.inputs, request.connection, **extra)
        except UpstreamFailure as failure:
            if isinstance(failure.error, RequestError):
                failure.error.param = "input"
            raise failure.error from failure
        tokens = found.usage.prompt_tokens
        request.embedded = Embedded(request.id, found.packed(), tokens)
        self._deliver(request, Accepted(request.id, tokens, 0))
        self._health.report(ok=True)

    def _stream(self, request: UpstreamGeneration, body: RequestBody) -> None:
        stream = self._api.stream(
            body.path, body.fields(), request.connection, parse_output=body.parse_output
        )
        with closing(stream) as chunks:
            for chunk in chunks:
                request.take(chunk)
                if not request.accepted:
                    tokens = chunk.usage.prompt_tokens if chunk.usage else 0
                    accepted = Accepted(request.id, tokens, request.seed, body.dropped)
                    self._deliver(request, accepted)
                if request.stopped:
                    return
                if chunk.has_output:
                    self._deliver(request, body.delta(request.id, chunk, request.tokens))

    def _report_success(self, request: UpstreamGeneration) -> None:
        self._health.report(ok=True)
        if self._omitted:
            names = ", ".join(sorted(self._omitted))
            self._health.note(f"it is asked without {names}, which it does not know")
        if request.usage is None:
            self._health.note(UNCOUNTED)

    def _deliver(self, request: UpstreamRequest, event: SequenceEvent) -> None:
        """Hand an event to its request's sink; nothing follows a terminal one."""
        with self._lock:
            if request.id not in self._requests:
                return
            if isinstance(event, Accepted):
                if request.stopped:
                    return  # the code that stopped it sends the last event
                request.accepted = True
            if isinstance(event, Terminal):
                del self._requests[request.id]
        self._stats.record(event)
        if isinstance(event, Finished):
            saved = event.cached_tokens
            self._stats.record_tokens(event.prompt_tokens - saved, saved, event.completion_tokens)
        elif isinstance(event, Embedded):
            self._stats.record_tokens(event.prompt_tokens, 0, 0)
        try:
            request.sink(event)
        except Exception:
            log.exception("a sink failed on %s", type(event).__name__)
