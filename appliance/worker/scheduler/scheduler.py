"""Selects the sequences of the next step: queue, token budget, batch. Pure Python, no ctypes.

Decoding sequences go into a batch first, one token each, or several for one that is alone and whose
grammar has left no choice about the next ones; what is left of `n_batch` is filled with prompt
chunks, oldest first. On a processor whose slots have cells of their own a prompt has a step to
itself, unless it is very short: llama.cpp computes as many tokens of each sequence at once as the
shortest has, then of those that are left, and so on. All together would be no faster, and all would
get their first token when the last prompt is computed.

Where each prompt's prefix comes from is up to the prefix cache; the scheduler only lets a sequence
wait while another one is computing the prefix that both share.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from appliance.engine.fair_queue import FairQueue
from appliance.worker.runners.base import Batch
from appliance.worker.scheduler.prefix_cache import WORTH_MOVING, PrefixCache
from appliance.worker.scheduler.sequence import Sequence

IDLE_CELLS = 1024
"""Cells of idle slots that may stand beside running sequences; each one slows every step."""
PREFILL_SINGLY = 64
"""Prompt tokens from which on a processor computes more at once no faster."""
LAST_CHUNK = 65
"""What a prompt's last step computes at least there: llama.cpp's attention takes several times as
long for each token where a sequence has fewer than 64 at once, and the first of a step goes with
those that decode (`GGML_FA_TILE_Q`, `llama_batch_allocr::split_equal`)."""


@dataclass(slots=True)
class ScheduledBatch(Batch):
    """A batch that knows whose tokens it has."""

    samples: list[Sequence] = field(default_factory=list)
    """Whose logits `outputs` are, in that order."""
    parts: list[tuple[Sequence, int]] = field(default_factory=list)
    """Each sequence in the batch, with its number of tokens."""

    @property
    def alone(self) -> bool:
        """It is computed the same way each time."""
        return any(sequence.alone for sequence, _ in self.parts)

    def add(self, sequence: Sequence, count: int) -> None:
        """Add the next `count` pending tokens; logits are wanted of the last token there is."""
        assert sequence.slot is not None
        start = sequence.n_past
        self.tokens += sequence.tokens.ids(start, start + count)
        self.positions += range(start, start + count)
        self.slots += [sequence.slot] * count
        self.parts.append((sequence, count))
        if count == sequence.n_pending:
            self.outputs.append(len(self.tokens) - 1)
            self.samples.append(sequence)


class Scheduler:
    """Owns the sequences. Every method belongs to the step loop."""

    def __init__(
        self,
        cache: PrefixCache,
        *,
        n_batch: int,
        partitioned: bool,
        singly: bool = False,
        max_running: int = 0,
    ) -> None:
        """
        Args:
            cache: the slots.
            n_batch: tokens of a step.
            partitioned: every slot has cells of its own, so none can take another's.
            singly: prefill one prompt after the other, as is best for slots with cells of their own
                on a processor.
            max_running: sequences that run together; 0: as many as there are slots.
        """
        self._cache = cache
        self._n_batch = n_batch
        self._partitioned = partitioned
        self._enough, self._least = (PREFILL_SINGLY, LAST_CHUNK) if singly else (n_batch, 1)
        self._max_running = max_running or len(cache.slots)
        self._waiting = FairQueue[Sequence]()
        self._running: list[Sequence] = []
        self._was_alone = False
        """The last step was one sequence's by itself."""
        self._next_alone = 0

    # -- sequences -------------------------------------------------------------------------------

    @property
    def waiting(self) -> Collection[Sequence]:
        """Sequences without a slot, in the order in which they will get one."""
        return self._waiting

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self._running and not self._waiting

    def add(self, sequence: Sequence) -> None:
        """A sequence arrives; it is run as soon as there is a slot and room."""
        self._waiting.add(sequence)

    def remove(self, sequence: Sequence) -> None:
        """A sequence has ended, whatever the reason. Its slot keeps what was computed."""
        if sequence.slot is None:
            self._waiting.remove(sequence)
            return
        self._running.remove(sequence)
        self._cache.release(sequence)

    def sequences(self) -> Iterator[Sequence]:
        """All that have not ended, running ones first."""
        yield from self._running
        yield from self._waiting

    # -- one step --------------------------------------------------------------------------------

    def schedule(self) -> ScheduledBatch:
        """The next batch; empty only when nothing is waiting or running."""
        self._cache.set_checkpoints()
        self._admit()
        self._make_room()
        left = self._n_batch if self._partitioned else self._cache.free_cells()
        left = min(left, self._n_batch)
        parts = self._together(left)
        alone = self._one_alone(others=bool(parts))
        if alone:
            parts = [(alone, min(alone.n_next, left))]
        if self._partitioned:
            # llama.cpp computes such slots together only as far as their numbers follow each other.
            parts.sort(key=lambda part: part[0].slot or 0)
        batch = ScheduledBatch()
        for sequence, count in parts:
            batch.add(sequence, count)
        return batch

    def _together(self, left: int) -> list[tuple[Sequence, int]]:
        """The sequences that share a step, and how many of its `left` tokens each has."""
        decoding = self._decoding()
        if len(decoding) == 1:
            parts = [(decoding[0], max(1, min(decoding[0].n_next, left)))]
        else:  # more of one's would keep the others waiting
            parts = [(sequence, 1) for sequence in decoding]
        left -= sum(count for _, count in parts)
        read = 0
        for sequence in self._running:
            if not sequence.alone and not sequence.decoding and left > 0 and read < self._enough:
                count = self._chunk(sequence.n_next, left)
                parts.append((sequence, count))
                left -= count
                read += count
        return parts

    def _one_alone(self, *, others: bool) -> Sequence | None:
        """The sequence that has this step by itself: in turn, and every other step at most while
        others could have it."""
        alone = [sequence for sequence in self._running if sequence.alone]
        if not alone or (self._was_alone and others):
            self._was_alone = False
            return None
        self._next_alone = (self._next_alone + 1) % len(alone)
        self._was_alone = True
        return alone[self._next_alone]

    def _decoding(self) -> list[Sequence]:
        """Those that get a token. One whose next tokens are still being found out about misses a
        step rather than let all others wait."""
        decoding = [it for it in self._running if it.decoding and not it.alone]
        ready = [sequence for sequence in decoding if sequence.sampler.ready]
        others = len(decoding) < len(self._running)
        return ready if ready or others else decoding

    def _chunk(self, pending: int, left: int) -> int:
        """How many of a prompt's pending tokens go into a step with room for `left`."""
        count = min(pending, left)
        short = self._least - (pending - count)
        # What is left for the last step is made up for here, unless it would be lacking here.
        return count - short if 0 < short < self._least and count - short >= self._least else count

    def computed(self, batch: ScheduledBatch) -> None:
        """The batch went through `llama_decode`: its tokens are in the KV cache now."""
        for sequence, count in batch.parts:
            self._cache.advance(sequence, count)

    def no_room(self) -> bool:
        """llama.cpp found no cells for the batch: make room; whether any could be made.

        An idle slot is emptied, or else the sequence that came last goes back to the queue.
        """
        return self._cache.evict_idle() or self._preempt()

    # -- admission -------------------------------------------------------------------------------

    def _admit(self) -> None:
        for sequence in list(self._waiting):
            full = len(self._running) >= self._max_running or not self._cache.free
            if full or not self._cache.fits(sequence):
                return
            if self._waits_for_another(sequence):
                continue
            if not self._partitioned and (sequence.alone or any(it.alone for it in self._running)):
                # Where its tokens stand among others' decides in which order they are summed up.
                if self._running:
                    return
                while self._cache.evict_idle():
                    pass
            self._waiting.served(sequence)
            self._cache.assign_slot(sequence)
            self._running.append(sequence)

    def _waits_for_another(self, sequence: Sequence) -> bool:
        """A running sequence is about to compute what this one begins with: once is enough."""
        if sequence.alone:
            return False
        tokens = sequence.tokens[:-1]
        found = [
            (other.tokens.common_prefix(tokens), other)
            for other in self._running
            if other.prefilling
        ]
        shared, other = max(found, key=lambda one: one[0], default=(0, None))
        if other is None or shared < self._cache.cached_prefix(tokens) + WORTH_MOVING:
            return False
        self._cache.branch(other, shared)
        return True

    # -- room ------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        """See to it that every decoding sequence gets its token and prompts can move on."""
        if self._partitioned:
            return
        while self._running and self._cache.idle_cells() > IDLE_CELLS:
            self._cache.evict_idle()
        while self._running:
            decoding = sum(sequence.decoding for sequence in self._running)
            more = sum(sequence.n_pending for sequence in self._running) - decoding
            free = self._cache.free_cells()
            if free >= decoding + min(more, self._n_batch):
                return
            if self._cache.evict_idle():
                continue
            enough = free >= decoding + bool(more)
            if enough or not self._preempt():
                return

    def _preempt(self) -> bool:
        """Send the newest running sequence back to the head of the queue, never the only one."""
        if len(self._running) < 2:
            return False
        sequence = self._running.pop()
        self._cache.evict(sequence)
        self._waiting.put_back(sequence)
        return True
