"""Who runs in the next step: slots, token budget, batch. Pure Python, no ctypes.

A slot is a place in the KV cache (llama.cpp's sequence id) that keeps its tokens after use, so that
the next sequence with the same beginning need not read it again. Decoding sequences go into a batch
first, one token each; what is left of `n_batch` is filled with prompt chunks, oldest first.
"""

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from appliance.engine.prefix_cache import common_prefix
from appliance.engine.sequence import Sequence


class Memory(Protocol):
    """The KV cache, as far as scheduling needs it."""

    def cut(self, slot: int, length: int) -> int:
        """Keep the first `length` tokens of a slot; return how many are left.

        That is `length`, or 0 with models whose state cannot be cut there.
        """


@dataclass(slots=True)
class Slot:
    """What the KV cache holds of one llama.cpp sequence id."""

    index: int
    tokens: "array[int]" = field(default_factory=lambda: array("i"))
    sequence: Sequence | None = None
    used: int = 0
    """Step of the last use; the smallest is given away first."""


@dataclass(slots=True)
class Batch:
    """Tokens of one `llama_decode`, entry by entry."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    """Entries whose logits are wanted, in the order of `samples`."""
    samples: list[Sequence] = field(default_factory=list)
    parts: list[tuple[Sequence, int]] = field(default_factory=list)
    """Each sequence in the batch, with its number of tokens."""

    def add(self, sequence: Sequence, count: int) -> None:
        """Add the next `count` pending tokens; logits are wanted of the last token there is."""
        assert sequence.slot is not None
        start = sequence.n_past
        self.tokens += sequence.tokens[start : start + count]
        self.positions += range(start, start + count)
        self.slots += [sequence.slot] * count
        self.parts.append((sequence, count))
        if count == sequence.n_pending:
            self.outputs.append(len(self.tokens) - 1)
            self.samples.append(sequence)


class Scheduler:
    """Owns slots and sequences. Every method belongs to the step loop."""

    def __init__(
        self, memory: Memory, *, n_slots: int, n_cells: int, n_batch: int, partitioned: bool
    ) -> None:
        """`n_cells`: tokens that the KV cache holds, in all, or of each slot when `partitioned`."""
        self._memory = memory
        self._slots = [Slot(index) for index in range(n_slots)]
        self._n_cells = n_cells
        self._n_batch = n_batch
        self._partitioned = partitioned
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._step = 0

    # -- sequences -------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Sequences without a slot."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self._running and not self._waiting

    def add(self, sequence: Sequence) -> None:
        """A sequence arrives; it is run as soon as there is a slot and room."""
        self._waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """A sequence has ended, whatever the reason. Its slot keeps what was computed."""
        if sequence.slot is None:
            self._waiting.remove(sequence)
            return
        self._running.remove(sequence)
        self._release(sequence)

    def sequences(self) -> Iterator[Sequence]:
        """All that have not ended, running ones first."""
        yield from self._running
        yield from self._waiting

    # -- one step --------------------------------------------------------------------------------

    def schedule(self) -> Batch:
        """The next batch; empty only when nothing is waiting or running."""
        self._step += 1
        self._admit()
        self._make_room()
        batch = Batch()
        room = self._free_cells()
        for sequence in self._running:
            if sequence.n_pending == 1:
                batch.add(sequence, 1)
        for sequence in self._running:
            if sequence.n_pending > 1:
                budget = self._n_batch - len(batch.tokens)
                if not self._partitioned:
                    budget = min(budget, room - len(batch.tokens))
                if budget <= 0:
                    break
                batch.add(sequence, min(budget, sequence.n_pending))
        return batch

    def computed(self, batch: Batch) -> None:
        """The batch went through `llama_decode`: its tokens are in the KV cache now."""
        for sequence, count in batch.parts:
            slot = self._slot_of(sequence)
            end = sequence.n_past + count
            slot.tokens += sequence.tokens[sequence.n_past : end]
            slot.used = self._step
            sequence.n_past = end

    def no_room(self) -> bool:
        """llama.cpp found no cells for the batch: make room, and say whether there was any to make.

        An idle slot is emptied, or else the sequence that came last goes back to the queue.
        """
        return self._drop_idle() or self._preempt()

    def forget(self, slot: int) -> None:
        """What a slot holds is not to be trusted any more."""
        self._memory.cut(slot, 0)
        self._slots[slot].tokens = array("i")

    # -- slots -----------------------------------------------------------------------------------

    def _slot_of(self, sequence: Sequence) -> Slot:
        assert sequence.slot is not None
        return self._slots[sequence.slot]

    def _release(self, sequence: Sequence) -> None:
        slot = self._slot_of(sequence)
        slot.sequence = None
        sequence.slot = None

    def _admit(self) -> None:
        while self._waiting:
            sequence = self._waiting[0]
            free = [slot for slot in self._slots if slot.sequence is None]
            if not free or not self._fits(sequence):
                return
            self._waiting.popleft()
            # The last token is always computed: its logits are what the first sample needs.
            usable = sequence.tokens[:-1]
            shared, _, slot = max(
                ((common_prefix(slot.tokens, usable), -slot.used, slot) for slot in free),
                key=lambda entry: entry[:2],
            )
            self._take(slot, sequence, shared)

    def _take(self, slot: Slot, sequence: Sequence, shared: int) -> None:
        kept = shared
        if len(slot.tokens) > shared:
            kept = self._memory.cut(slot.index, shared)
        slot.tokens = slot.tokens[:kept]
        slot.sequence = sequence
        slot.used = self._step
        sequence.start(slot.index, kept)
        self._running.append(sequence)

    # -- cells -----------------------------------------------------------------------------------

    def _free_cells(self) -> int:
        return self._n_cells - sum(len(slot.tokens) for slot in self._slots)

    def _fits(self, sequence: Sequence) -> bool:
        """Whether the sequence could be read now without pushing a running one out."""
        if self._partitioned or not self._running:
            return True
        held = sum(len(other.tokens) for other in self._running)
        return held + len(sequence.tokens) + len(self._running) + 1 <= self._n_cells

    def _make_room(self) -> None:
        """See to it that every decoding sequence gets its token and prompts can move on."""
        if self._partitioned:
            return
        while self._running:
            decoding = sum(sequence.n_pending == 1 for sequence in self._running)
            reading = [sequence.n_pending for sequence in self._running if sequence.n_pending > 1]
            wanted = decoding + min(sum(reading), self._n_batch)
            free = self._free_cells()
            if free >= wanted:
                return
            if self._drop_idle():
                continue
            enough = free >= decoding + bool(reading)
            if enough or not self._preempt():
                return

    def _drop_idle(self) -> bool:
        idle = [slot for slot in self._slots if slot.sequence is None and slot.tokens]
        if not idle:
            return False
        self.forget(min(idle, key=lambda slot: slot.used).index)
        return True

    def _preempt(self) -> bool:
        """Send the newest running sequence back to the head of the queue, never the only one."""
        if len(self._running) < 2:
            return False
        sequence = self._running.pop()
        slot = self._slot_of(sequence)
        self._release(sequence)
        self.forget(slot.index)
        sequence.n_past = 0
        self._waiting.appendleft(sequence)
        return True
