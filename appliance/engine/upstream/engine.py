"""The appliance's side of an upstream: vLLM, SGLang, Ray Serve LLM, llama-server and their like.

The face is `local.engine.Engine`'s. A thread for each running request, kept for later ones, and the
watcher's. Sinks are called on the request's thread, or on the one that ended the request before the
upstream had answered; they must not block.
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
    Embedded,
    EventSink,
    Finished,
    SequenceEvent,
    Terminal,
)
from appliance.engine.types import EmbedRequest, GenerationRequest, TextPrompt, TokenPrompt
from appliance.engine.upstream.client import UpstreamClient
from appliance.engine.upstream.health_check import HealthCheck
from appliance.engine.upstream.request import (
    UpstreamEmbedding,
    UpstreamGeneration,
    UpstreamRequest,
)
from appliance.engine.upstream.request_body import RequestBody, UpstreamRefused
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

UNCOUNTED = "it tells no token counts: a reply's tokens are its chunks, a prompt's are not known"


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
            api_key: sent to the upstream as a bearer token, and told nobody else.
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
        self._watcher = HealthCheck(name, self._api, parallel)
        self._without: set[str] = set()
        self._lock = threading.Lock()
        self._closed = self._retired = False
        self._requests: dict[int, UpstreamRequest] = {}
        self._stats = RequestStats()
        self._ids = itertools.count(1)
        self._line = FairQueue[UpstreamRequest]()
        self._came = threading.Condition(self._lock)
        """There is one more in the line, or there will be no more."""
        self._unfinished = 0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to look whether the upstream is there; returns at once."""
        self._watcher.start()

    @property
    def state(self) -> EngineState:
        """A snapshot. `failed`: the upstream was not ready when last looked at; `detail` says why,
        it is looked at again, and requests are tried all the same."""
        return self._watcher.state

    @property
    def busy(self) -> bool:
        """Requests are in flight."""
        return bool(self._requests)

    def retire(self) -> bool:
        """Take nothing more, unless requests are in flight; whether that is so now."""
        with self._lock:
            self._retired = self._retired or not self._requests
            return self._retired

    @property
    def counters(self) -> Counters:
        """What it has done, as far as the upstream tells."""
        return self._stats.counters()

    @property
    def worker_pid(self) -> None:
        """There is no process of ours."""
        return

    def wait_ready(self, timeout: float) -> bool:
        """Whether the upstream was ready within `timeout` seconds; False at once when it isn't."""
        return self._watcher.wait_ready(timeout)

    def submit(self, request: GenerationRequest, sink: EventSink) -> int:
        """Have a prompt completed; `sink` gets every event, the last one being terminal.

        `Accepted` comes with the upstream's first chunk. Its `prompt_tokens` are 0 unless the
        upstream counts them that early; `Finished` has them. There is no `Prefill`.

        Raises:
            QueueFull, ShuttingDown: nothing was submitted.
        """
        return self._take(lambda id: UpstreamGeneration(id, request, sink), request.owner)

    def embed(self, request: EmbedRequest, sink: EventSink) -> int:
        """Have vectors made of the inputs, as the upstream makes them; like `submit`."""
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
            self._line.add(request)
            self._came.notify()
        return request.id

    def cancel(self, id: int) -> None:
        """End a request; its sink hears `Finished`. One that has ended already is no error."""
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
        self._watcher.stop()
        for request in requests:
            self._stop(request, ShuttingDown("the appliance is shutting down"))
        with self._lock:
            self._came.notify_all()
        deadline = time.monotonic() + CLOSE_SECONDS
        for join in (self._watcher.join, *(thread.join for thread in self._threads)):
            join(max(0.0, deadline - time.monotonic()))
        self._api.close()

    def _stop(self, request: UpstreamRequest, error: ApplianceError | None) -> None:
        """End a request before its end. Its thread has the last word if it has had the first."""
        with self._lock:
            if not request.stopped:
                request.stopped = True
                request.error = error
            speaks = request.accepted
        request.call.abort()
        if not speaks:
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
                    self._converse(request)
                last = request.ended()
            except ApplianceError as ex:
                last = request.failed(ex)
                fault = isinstance(ex, Unavailable) and not isinstance(ex, QueueFull)
                if fault and not request.stopped:
                    self._watcher.saw(well=False)
            except Exception:
                log.exception("a request to %s failed", self.name)
                last = request.failed(InternalError("the request to the upstream failed"))
            request.call.close()
            self._deliver(request, request.stop_event() if request.stopped else last)
            with self._lock:
                self._unfinished -= 1

    def _next(self) -> UpstreamRequest | None:
        """Whose turn it is; None: there will be no more."""
        with self._came:
            self._came.wait_for(lambda: self._line or self._closed)
            request = next(iter(self._line), None)
            if request:
                self._line.served(request)
            return request

    def _converse(self, request: UpstreamGeneration) -> None:
        """Ask until the upstream takes it, and pass on what it says.

        Raises:
            ApplianceError: there was no reply, or no whole one.
        """
        if request.prompt in (TextPrompt(""), TokenPrompt([])):
            raise RequestError("the prompt is empty", param="prompt")
        question = RequestBody(
            self._model, request.prompt, request.sampling, request.seed, self._without
        )
        problem = "it stopped in the middle"
        while True:
            try:
                self._listen(request, question)
            except UpstreamRefused as refused:
                if request.accepted or request.stopped:
                    problem = refused.error.message
                elif question.mend(refused):
                    continue
                else:
                    if isinstance(refused.error, RequestError):
                        refused.error.param = question.param
                    raise refused.error from refused
            break
        if request.stopped:
            return
        # One that has its end lacks nothing, even if the upstream took no leave.
        if request.reason is None:
            raise WorkerDied(f"the reply of {self.name} broke off: {problem}")
        self._learned(request)

    def _embed(self, request: UpstreamEmbedding) -> None:
        """Ask once.

        Raises:
            ApplianceError: there are no vectors.
        """
        extra = {} if request.dimensions is None else {"dimensions": request.dimensions}
        try:
            found = self._api.embed(request.inputs, request.call, **extra)
        except UpstreamRefused as refused:
            if isinstance(refused.error, RequestError):
                refused.error.param = "input"
            raise refused.error from refused
        tokens = found.usage.prompt_tokens
        request.embedded = Embedded(request.id, found.packed(), tokens)
        self._deliver(request, Accepted(request.id, tokens, 0))
        self._watcher.saw(well=True)

    def _listen(self, request: UpstreamGeneration, question: RequestBody) -> None:
        stream = self._api.stream(
            question.path, question.body(), request.call, parse_output=question.parse_output
        )
        with closing(stream) as parts:
            for part in parts:
                request.take(part)
                if not request.accepted:
                    tokens = part.usage.prompt_tokens if part.usage else 0
                    accepted = Accepted(request.id, tokens, request.seed, question.dropped)
                    self._deliver(request, accepted)
                if request.stopped:
                    return
                if part.says_something:
                    self._deliver(request, question.delta(request.id, part, request.tokens))

    def _learned(self, request: UpstreamGeneration) -> None:
        self._watcher.saw(well=True)
        if self._without:
            names = ", ".join(sorted(self._without))
            self._watcher.note(f"it is asked without {names}, which it does not know")
        if request.usage is None:
            self._watcher.note(UNCOUNTED)

    def _deliver(self, request: UpstreamRequest, event: SequenceEvent) -> None:
        """Hand an event to its request; whoever takes out the terminal one is the last to speak."""
        with self._lock:
            if request.id not in self._requests:
                return
            if isinstance(event, Accepted):
                if request.stopped:
                    return  # whoever stopped it speaks, or has spoken
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
