"""Embeddings: which inputs are computed together, and which request they belong to. Pure Python.

Inputs of all requests share batches, requests taking turns, so that a short one does not wait for
the thousands of another. The step loop computes one batch between two steps of what generates.
"""

import logging
from array import array
from collections import deque
from dataclasses import dataclass, field

from appliance.engine.protocol import Accepted, Embedded, Event, Failed
from appliance.errors import ApplianceError, InternalError, Unavailable
from appliance.worker.runners.base import Batch, DecodeFailed, Embedder, LoadError, Runner

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class EmbeddingJob:
    """One request."""

    id: int
    inputs: list["array[int]"]
    begun: int = 0
    """Inputs that were given a slot, the first ones."""
    vectors: dict[int, bytes] = field(default_factory=dict)

    @property
    def prompt_tokens(self) -> int:
        return sum(map(len, self.inputs))

    def accepted(self, n_ctx: int) -> Accepted:
        """The first event."""
        return Accepted(self.id, self.prompt_tokens, 0, n_ctx=n_ctx)

    def embedded(self) -> Embedded:
        """The last event."""
        vectors = [self.vectors[number] for number in range(len(self.inputs))]
        return Embedded(self.id, vectors, self.prompt_tokens)


@dataclass(slots=True, eq=False)
class _Input:
    """One input that is being computed."""

    job: EmbeddingJob
    number: int
    slot: int
    n_past: int = 0

    @property
    def tokens(self) -> "array[int]":
        return self.job.inputs[self.number]

    @property
    def n_pending(self) -> int:
        return len(self.tokens) - self.n_past


class Embedding:
    """Owns the jobs, and the embedder while there is work for one. Belongs to the step loop."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._jobs: deque[EmbeddingJob] = deque()
        """With inputs that have not begun."""
        self._running: list[_Input] = []
        self._free: list[int] = []
        self._embedder: Embedder | None = None
        self.computed = 0
        """Tokens, since the worker began."""

    @property
    def busy(self) -> bool:
        """There is something to compute."""
        return bool(self._jobs or self._running)

    def add(self, job: EmbeddingJob) -> None:
        """A request arrives."""
        self._jobs.append(job)

    def remove(self, id: int) -> bool:
        """Whether that request was here; nothing is computed of it any more."""
        jobs = {*self._jobs, *(entry.job for entry in self._running)}
        job = next((job for job in jobs if job.id == id), None)
        if job is None:
            return False
        if job in self._jobs:
            self._jobs.remove(job)
        for entry in [entry for entry in self._running if entry.job is job]:
            self._release(entry)
        return True

    def rest(self) -> None:
        """Nothing has come for a while: give the memory back."""
        if self._embedder and not self.busy:
            self._embedder.close()
            self._embedder = None

    def step(self) -> list[Event]:
        """Compute one batch; the terminal events of the requests that end with it."""
        try:
            embedder = self._fitting()
        except LoadError as ex:
            return self._fail(Unavailable(f"there is no memory for embeddings: {ex}"))
        batch, parts = self._batch(embedder)
        try:
            embedder.compute(batch)
        except DecodeFailed as ex:
            log.error("embeddings could not be computed: %s", ex)
            return self._fail(InternalError(f"the model could not compute embeddings: {ex}"))
        events: list[Event] = []
        for entry, count in parts:
            entry.n_past += count
            self.computed += count
            if not entry.n_pending:
                entry.job.vectors[entry.number] = embedder.vector(entry.slot)
                self._release(entry)
                if len(entry.job.vectors) == len(entry.job.inputs):
                    events.append(entry.job.embedded())
        return events

    # -- inside ------------------------------------------------------------------------------------

    def _fitting(self) -> Embedder:
        """An embedder with room for the longest input; a larger one when the old one is empty."""
        longest = max((len(tokens) for job in self._jobs for tokens in job.inputs), default=0)
        embedder = self._embedder
        if embedder and (self._running or longest <= embedder.n_cells):
            return embedder
        if embedder:
            embedder.close()
        self._embedder = None
        self._embedder = self._runner.embedder(longest)
        self._free = list(range(self._embedder.n_slots))
        return self._embedder

    def _batch(self, embedder: Embedder) -> tuple[Batch, list[tuple[_Input, int]]]:
        batch = Batch()
        parts: list[tuple[_Input, int]] = []
        for entry in self._running:
            self._put(embedder, batch, parts, entry)
        while self._free and self._jobs:
            job = self._jobs[0]
            left = embedder.n_batch - len(batch.tokens)
            size = len(job.inputs[job.begun])
            held = sum(len(entry.tokens) for entry in self._running)
            if left <= 0 or held + size > embedder.n_cells or (embedder.whole and size > left):
                break
            entry = _Input(job, job.begun, self._free.pop())
            self._running.append(entry)
            job.begun += 1
            self._jobs.popleft()
            if job.begun < len(job.inputs):
                self._jobs.append(job)
            self._put(embedder, batch, parts, entry)
        return batch, parts

    @staticmethod
    def _put(
        embedder: Embedder, batch: Batch, parts: list[tuple[_Input, int]], entry: _Input
    ) -> None:
        count = min(entry.n_pending, embedder.n_batch - len(batch.tokens))
        if count > 0:
            batch.tokens += entry.tokens[entry.n_past : entry.n_past + count]
            batch.positions += range(entry.n_past, entry.n_past + count)
            batch.slots += [entry.slot] * count
            parts.append((entry, count))

    def _release(self, entry: _Input) -> None:
        assert self._embedder
        self._running.remove(entry)
        self._embedder.clear(entry.slot)
        self._free.append(entry.slot)

    def _fail(self, error: ApplianceError) -> list[Event]:
        """Every request ends, and what the embedder holds is not to be trusted."""
        jobs = {job.id for job in self._jobs} | {entry.job.id for entry in self._running}
        self._jobs.clear()
        self._running.clear()
        self.rest()
        return [Failed(id, error.code, error.message) for id in sorted(jobs)]
