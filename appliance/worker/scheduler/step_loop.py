"""The step loop: schedule, decode, sample, send. Runs on the worker's main thread."""

import logging
import queue
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from appliance.engine.kv_files import opaque
from appliance.engine.protocol import (
    Cancel,
    Delta,
    Event,
    Failed,
    FinishReason,
    Forget,
    Load,
    Logprobs,
    Shutdown,
    TokenLogprob,
    WorkerStats,
    cancelled,
)
from appliance.errors import ApplianceError, BadModelFile, InternalError, RequestError
from appliance.worker.runners.base import DecodeFailed, NoRoom, Runner
from appliance.worker.scheduler.embedding import Embedding, EmbeddingJob
from appliance.worker.scheduler.kv_state_store import KvStateStore
from appliance.worker.scheduler.prefix_cache import PrefixCache
from appliance.worker.scheduler.prompt_tokens import Scope
from appliance.worker.scheduler.scheduler import ScheduledBatch, Scheduler
from appliance.worker.scheduler.sequence import ALONE_CHUNK, Sequence
from appliance.worker.scheduler.thread_governor import Kind, ThreadGovernor
from appliance.worker.scheduler.written_tokens import WrittenTokens

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.025
"""Tokens that come faster are sent together. Each frame wakes two threads of the service and the
client, often on the cores that the model computes with, where one that is late delays all.
"""
IDLE_SECONDS = 2.0
"""Idle time after which states are saved."""

Arrival = Sequence | EmbeddingJob | Cancel | Forget | Shutdown


class StepLoop:
    """Owns scheduler, prefix cache, store and embeddings."""

    def __init__(self, runner: Runner, load: Load, send: Callable[[list[Event]], None]) -> None:
        self._runner = runner
        self._send = send
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        partitioned = runner.partitioned
        memory_bytes = load.kv_memory_bytes
        checkpointing = runner.checkpointing
        checkpoint_bytes = 0
        if checkpointing:  # where windows overlap, fewer are enough
            checkpoint_bytes = memory_bytes // (4 if checkpointing.reach else 2)
        self._store = KvStateStore(
            fingerprint=runner.fingerprint,
            folder=Path(load.kv_folder) if load.kv_folder else None,
            memory_bytes=memory_bytes - checkpoint_bytes,
            disk_bytes=load.kv_disk_bytes,
            min_tokens=load.kv_min_tokens,
            min_length=runner.min_saved_length,
            reach=checkpointing.reach if checkpointing else 0,
        )
        self._cache = PrefixCache(
            runner,
            self._store,
            n_slots=load.n_seq_max,
            n_cells=runner.n_cells,
            partitioned=partitioned,
            checkpoint_bytes=checkpoint_bytes,
            ends=runner.ends if checkpointing and not checkpointing.reach else (),
            alone_chunk=ALONE_CHUNK if load.n_batch >= ALONE_CHUNK else 0,
        )
        self._scheduler = Scheduler(
            self._cache,
            n_batch=load.n_batch,
            partitioned=partitioned,
            singly=partitioned and runner.info.device == "cpu",
            max_running=load.max_running,
        )
        self.written = WrittenTokens()
        """For prompts that continue what was computed here."""
        self.written.add_stored(self._store.sequences())
        self._embedding = Embedding(runner)
        self._pending_events: list[Event] = []
        self._flushed_at = 0.0
        self._step_began = 0.0
        self._prefilled = self._saved = self._completed = 0
        self._governor = ThreadGovernor(*runner.threads) if any(runner.threads) else None

    def enqueue(self, what: "Arrival") -> None:
        """From any thread."""
        self._arrivals.put(what)

    @property
    def step_seconds(self) -> float:
        """From any thread: how long the step under way has run."""
        began = self._step_began
        return time.monotonic() - began if began else 0.0

    def run(self) -> None:
        """Runs steps until the shutdown; then saves states."""
        while True:
            events: list[Event] = []
            while not self._arrivals.empty() or (self._idle and not events):
                arrival = self._arrivals.get() if not self._arrivals.empty() else self._wait()
                if isinstance(arrival, Shutdown):
                    self._flush_events()
                    self._cache.store_all()
                    self._store.close()
                    return
                if isinstance(arrival, Cancel):
                    events += self._cancel(arrival.id)
                elif isinstance(arrival, Forget):
                    self._forget_session(opaque(arrival.session))
                elif isinstance(arrival, EmbeddingJob):
                    self._embedding.add(arrival)
                else:
                    self._scheduler.add(arrival)
            # In turn: neither has to wait for more than one batch of the other.
            if not self._scheduler.idle:
                events += self._timed(self._step)
            if self._embedding.busy:
                events += self._timed(self._embedding.step)
            self._pending_events += events
            if not self._can_wait():
                self._flush_events()

    def _can_wait(self) -> bool:
        """There are only tokens to send, the last were sent just now, and more come soon."""
        return (
            time.monotonic() - self._flushed_at < FLUSH_SECONDS
            and not self._scheduler.idle
            and not self._embedding.busy
            and all(isinstance(event, Delta) for event in self._pending_events)
        )

    def _flush_events(self) -> None:
        if self._pending_events:
            self._send([self._stats(), *self._pending_events])
            self._pending_events = []
            self._flushed_at = time.monotonic()

    @property
    def _idle(self) -> bool:
        return self._scheduler.idle and not self._embedding.busy

    def _timed(self, step: Callable[[], list[Event]]) -> list[Event]:
        self._step_began = time.monotonic()
        events = step()
        self._step_began = 0.0
        return events

    def _wait(self) -> "Arrival":
        """Sleep until something arrives; after a while, save what idle slots hold."""
        self._cache.set_checkpoints()
        try:
            return self._arrivals.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            self._embedding.rest()
            while self._arrivals.empty() and self._store.persistent and self._cache.store_idle():
                pass
            self._store.write_idle()
            self._send([self._stats()])
        return self._arrivals.get()

    def _stats(self) -> WorkerStats:
        in_cells, in_memory = self._cache.bytes_held()
        return WorkerStats(
            prefilled_tokens=self._prefilled + self._embedding.computed,
            saved_tokens=self._saved,
            completion_tokens=self._completed,
            kv_bytes=in_cells,
            kv_memory_bytes=in_memory,
        )

    def _forget_session(self, session: str) -> None:
        for sequence in self._scheduler.sequences():
            if sequence.tokens.scope.session == session:  # it will be cancelled
                sequence.tokens.scope = Scope.nobody()
        self._cache.forget_session(session)
        self.written.forget(session)

    def _queue_positions(self) -> list[Event]:
        waiting = enumerate(self._scheduler.waiting, 1)
        return [event for n, sequence in waiting if (event := sequence.queued(n))]

    def _cancel(self, id: int) -> list[Event]:
        for sequence in self._scheduler.sequences():
            if sequence.id == id:
                return [self._end(sequence, "cancelled")]
        if self._embedding.remove(id):
            return [cancelled(id)]
        return []

    def _step(self) -> list[Event]:
        batch = self._scheduler.schedule()
        news: list[Event] = [
            *self._queue_positions(),
            *(sequence.progress() for sequence, _ in batch.parts if not sequence.announced),
        ]
        if news or any(not s.decoding for s, _ in batch.parts):  # before a step that may take long
            self._pending_events += news
            self._flush_events()
        try:
            self._decode(batch)
        except NoRoom:
            if self._scheduler.no_room():
                return []
            return [self._end(sequence, "length") for sequence, _ in batch.parts]
        except DecodeFailed as ex:
            log.error("%s", ex)
            return self._abandon(batch, str(ex))
        # What is computed again after a preemption counts once more.
        self._prefilled += sum(n for s, n in batch.parts if s.prefilling or not s.decoding)
        self._scheduler.computed(batch)
        events: list[Event] = [
            sequence.progress() for sequence, _ in batch.parts if sequence.n_completion == 0
        ]
        for output, sequence in zip(batch.outputs, batch.samples, strict=True):
            try:
                events += self._sample(sequence, output)
            except DecodeFailed as ex:
                log.error("%s", ex)
                events.append(self._fail(sequence, BadModelFile(str(ex))))
        return events

    def _decode(self, batch: ScheduledBatch) -> None:
        governor = self._governor
        if governor is None:
            self._runner.decode(batch)
            return
        count = len(batch.tokens)
        if batch.alone:  # always as many: they share sums among them
            self._runner.use_threads(self._runner.threads[count > 1])
            self._runner.decode(batch)
            return
        kind: Kind = "prefill" if count > 2 * len(batch.parts) else "decode"
        self._runner.use_threads(governor.suggest(kind))
        began = time.perf_counter()
        self._runner.decode(batch)
        governor.observe(kind, count, time.perf_counter() - began)

    def _sample(self, sequence: Sequence, output: int) -> list[Event]:
        tokens: Iterable[int | None]
        try:
            tokens = sequence.sampler.sample(output) or [None]
        except RequestError as ex:
            self._forget(sequence)
            return [Failed(sequence.id, ex.code, ex.message, ex.param)]
        events: list[Event] = []
        for token in tokens:
            delta, reason = self._append(sequence, output, token)
            events += [delta] if delta else []
            if reason:
                events.append(self._end(sequence, reason))
                break
        return events

    def _append(
        self, sequence: Sequence, output: int, token: int | None
    ) -> tuple[Delta | None, FinishReason | None]:
        """What there is to send now, and why the sequence ends here; `token` None: it is over."""
        reason: FinishReason | None = None
        data = b""
        if token is None or self._runner.is_end_of_generation(token):
            reason = "stop"
        else:
            sequence.append(token)
            self._completed += 1
            data = self._runner.token_to_bytes(token)
            if sequence.sampling.logprobs is not None:
                sequence.logprobs.append(self._logprobs(sequence, output, token))
            if sequence.n_completion >= sequence.max_completion_tokens:
                reason = "length"
        delta = sequence.append_text(data, last=reason is not None)
        return delta, "stop" if sequence.stopped else reason

    def _logprobs(self, sequence: Sequence, output: int, token: int) -> Logprobs:
        top = sequence.sampling.logprobs or 0
        first, *rest = (
            TokenLogprob(self._runner.token_to_bytes(id), logprob, id)
            for id, logprob in sequence.sampler.logprobs(output, token, top)
        )
        return Logprobs(first, rest)

    def _abandon(self, batch: ScheduledBatch, why: str) -> list[Event]:
        fault = InternalError(f"the model could not compute this step: {why}")
        return [self._fail(sequence, fault) for sequence, _ in batch.parts]

    def _fail(self, sequence: Sequence, fault: ApplianceError) -> Event:
        """What its slot holds is not to be trusted."""
        assert sequence.slot is not None
        self._cache.empty(sequence.slot)
        self._forget(sequence)
        return Failed(sequence.id, fault.code, fault.message)

    def _end(self, sequence: Sequence, reason: FinishReason) -> Event:
        self._forget(sequence)
        return sequence.finished(reason)

    def _forget(self, sequence: Sequence) -> None:
        self._saved += sequence.n_cached
        if sequence.reply_from is not None and sequence.n_completion:
            self.written.add(sequence.tokens[:], sequence.reply_from)
        self._scheduler.remove(sequence)
        sequence.sampler.close()
