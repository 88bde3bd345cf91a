"""Statistics of an engine, as plain numbers, in the service."""

import threading

import msgspec

from appliance.engine.protocol import (
    Accepted,
    Delta,
    Embedded,
    Event,
    Failed,
    Finished,
    Prefill,
    Queued,
    Terminal,
    WorkerStats,
)

NOTHING = WorkerStats(
    prefilled_tokens=0, saved_tokens=0, completion_tokens=0, kv_bytes=0, kv_memory_bytes=0
)


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one model. Those since the service started never decrease; `running`,
    `waiting` and the bytes are current values."""

    requests: int = 0
    """That were taken, those in flight included."""
    failed_requests: int = 0
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    """Prompt tokens computed."""
    saved_tokens: int = 0
    """Prompt tokens found in the cache."""
    completion_tokens: int = 0
    worker_restarts: int = 0
    running: int = 0
    waiting: int = 0
    """Requests that the model has not begun to read."""
    kv_bytes: int = 0
    """Held in the KV cache."""
    kv_memory_bytes: int = 0
    """KV states held in host memory beside it."""

    def __add__(self, other: "Counters") -> "Counters":
        names = self.__struct_fields__
        return Counters(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def past(self) -> "Counters":
        """What remains of them when the engine is gone."""
        return msgspec.structs.replace(self, running=0, waiting=0, kv_bytes=0, kv_memory_bytes=0)


class RequestStats:
    """Counts for one engine, by the events of its requests. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._failed = self._prompt_tokens = self._restarts = 0
        self._open: dict[int, int] = {}
        """Prompt tokens that each is known to have."""
        self._running: set[int] = set()
        self._past = self._now = NOTHING

    def submitted(self, id: int) -> None:
        """A request was taken."""
        with self._lock:
            self._requests += 1
            self._open[id] = 0

    def record(self, event: Event) -> None:
        """An event that a request's sink gets, once; or the worker's own counts."""
        with self._lock:
            if isinstance(event, WorkerStats):
                self._now = event
            elif isinstance(event, Accepted):
                self._read(event.id, event.prompt_tokens)
            elif isinstance(event, Prefill | Delta):
                self._running.add(event.id)
            elif isinstance(event, Queued):
                self._running.discard(event.id)
            elif isinstance(event, Terminal):
                if isinstance(event, Finished | Embedded):
                    self._read(event.id, event.prompt_tokens)
                self._failed += isinstance(event, Failed)
                self._open.pop(event.id, None)
                self._running.discard(event.id)

    def record_tokens(self, prefilled: int, saved: int, completed: int) -> None:
        """Tokens of a request that ended, in an engine without a worker that counts them."""
        done = WorkerStats(
            prefilled_tokens=prefilled,
            saved_tokens=saved,
            completion_tokens=completed,
            kv_bytes=0,
            kv_memory_bytes=0,
        )
        with self._lock:
            self._past = _sum(self._past, done)

    def worker_ended(self) -> None:
        """What it held is gone, and the requests that it ran wait for the next one."""
        with self._lock:
            self._past, self._now = _sum(self._past, self._now), NOTHING
            self._running.clear()

    def restarted(self) -> None:
        """A worker takes the place of one that died."""
        with self._lock:
            self._restarts += 1

    def counters(self) -> Counters:
        """As they are now."""
        with self._lock:
            work = _sum(self._past, self._now)
            return Counters(
                requests=self._requests,
                failed_requests=self._failed,
                prompt_tokens=self._prompt_tokens,
                prefilled_tokens=work.prefilled_tokens,
                saved_tokens=work.saved_tokens,
                completion_tokens=work.completion_tokens,
                worker_restarts=self._restarts,
                running=len(self._running),
                waiting=len(self._open) - len(self._running),
                kv_bytes=self._now.kv_bytes,
                kv_memory_bytes=self._now.kv_memory_bytes,
            )

    def _read(self, id: int, prompt_tokens: int) -> None:
        known = self._open.get(id)
        if known is not None and prompt_tokens > known:
            self._prompt_tokens += prompt_tokens - known
            self._open[id] = prompt_tokens


def _sum(past: WorkerStats, now: WorkerStats) -> WorkerStats:
    return WorkerStats(
        prefilled_tokens=past.prefilled_tokens + now.prefilled_tokens,
        saved_tokens=past.saved_tokens + now.saved_tokens,
        completion_tokens=past.completion_tokens + now.completion_tokens,
        kv_bytes=0,
        kv_memory_bytes=0,
    )
