"""Finds the computed prefix of a prompt, and puts it into a slot.

Three tiers: the KV cells of slots, running and idle; host memory; disk. What a slot held is put
into the store before the slot is given to another chat, and comes back from there. Pure Python:
the cells themselves are moved by a `KvMemory`.
"""

import logging
from collections.abc import Collection

from appliance.engine.protocol import CachedFrom
from appliance.worker.runners import checkpoints
from appliance.worker.runners.base import KvMemory
from appliance.worker.runners.checkpoints import Checkpoint, Cut, State
from appliance.worker.scheduler.kv_state_store import KvStateStore
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope
from appliance.worker.scheduler.sequence import Sequence
from appliance.worker.scheduler.slots import Cells, Slot

log = logging.getLogger(__name__)

WORTH_MOVING = 32
"""Tokens; fewer are computed sooner than a state is looked up, copied or saved."""
TAIL = 64
"""Tokens; a message that ends so near the end of a prompt is followed by what begins the reply."""
KEPT_CHECKPOINTS = 2
"""That a slot keeps while others have more."""
STORED_BYTES = 64 << 20
"""Of the checkpoints that are stored with a state, or as many as the state has."""


class PrefixCache:
    """Owns the slots. Every method belongs to the step loop."""

    def __init__(
        self,
        memory: KvMemory,
        store: KvStateStore,
        *,
        n_slots: int,
        n_cells: int,
        partitioned: bool,
        checkpoint_bytes: int = 0,
        ends: Collection[int] = (),
        alone_chunk: int = 0,
    ) -> None:
        """
        Args:
            n_cells: tokens that the KV cache holds, in all, or of each slot when `partitioned`.
            checkpoint_bytes: of host memory, for all slots' checkpoints.
            ends: tokens that end messages.
            alone_chunk: prompt tokens of a step of a sequence by itself; 0: of such a sequence
                nothing is kept.
        """
        self._memory = memory
        self._store = store
        self.slots = [Slot(index) for index in range(n_slots)]
        self._cells = Cells()
        self._n_cells = n_cells
        self.partitioned = partitioned
        kind = memory.checkpointing
        self._n_checkpoints = checkpoint_bytes // max(1, kind.size) if kind else 0
        self._checkpoint_bytes = checkpoint_bytes if self._n_checkpoints else 0
        self._reach = kind.reach if kind else 0
        self._ends = frozenset(ends)
        # What a checkpoint restores may not be the same to the last digit.
        self._alone_chunk = 0 if kind else alone_chunk
        self._clock = 0

    # -- looking ---------------------------------------------------------------------------------

    @property
    def free(self) -> bool:
        """There is a slot that no sequence runs in."""
        return any(slot.sequence is None for slot in self.slots)

    def cached_prefix(self, tokens: PromptTokens) -> int:
        """How many of the first tokens would not have to be computed now."""
        slot = max(self._usable_prefix(slot, tokens) for slot in self.slots)
        return max(slot, self._store.cached_prefix(tokens))

    def free_cells(self) -> int:
        """Cells that no slot holds."""
        if self.partitioned:
            return self._n_cells
        return self._n_cells - Cells.count(self.slots)

    def fits(self, sequence: Sequence) -> bool:
        """Whether the sequence could be prefilled now without preempting a running one."""
        running = self._running()
        if self.partitioned or not running:
            return True
        shared = max(slot.tokens.common_prefix(sequence.tokens) for slot in running)
        new = len(sequence.tokens) - shared
        return Cells.count(running) + new + len(running) + 1 <= self._n_cells

    # -- a sequence's life -----------------------------------------------------------------------

    def assign_slot(self, sequence: Sequence) -> None:
        """Give the sequence a slot, there must be a free one, with all of its prefix there is."""
        self._clock += 1
        # The last token is always computed: its logits are what the first sample needs.
        tokens = sequence.tokens[:-1]
        if sequence.alone:
            self._begin(sequence, *self._alone(tokens))
            return
        source = max(self.slots, key=lambda slot: (self._usable_prefix(slot, tokens), slot.used))
        length = self._usable_prefix(source, tokens)
        stored = self._store.cached_prefix(tokens)
        known = self._known(tokens)
        if stored >= length + WORTH_MOVING:
            slot, length, origin = self._from_store(tokens)
        elif length and source.sequence is None and self._may_overwrite(source, tokens, length):
            slot, origin = source, "slot"
            length = self._truncate(slot, length)
        elif length >= WORTH_MOVING:
            slot, length, origin = self._from_slot(source, length)
        else:
            slot, length, origin = self._victim(), 0, "slot"
            self.empty(slot.index)
        self._begin(sequence, slot, length, origin)
        if known >= length + WORTH_MOVING:  # computed twice, and not a third time
            self.branch(sequence, known)

    def branch(self, sequence: Sequence, length: int) -> None:
        """Others begin with the first `length` tokens of a running sequence, too: if they could not
        be had of it later, it keeps a checkpoint there."""
        slot = self._slot_of(sequence)
        slot.turns.add(length)
        self._set_pause(slot, sequence)

    def advance(self, sequence: Sequence, count: int) -> None:
        """The next `count` tokens of the sequence were computed."""
        slot = self._slot_of(sequence)
        end = sequence.n_past + count
        slot.tokens += sequence.tokens[sequence.n_past : end]
        slot.stored = False
        self._cells.grow(slot, count)
        sequence.n_past = end
        if end == sequence.pause:
            slot.due, slot.marked = True, end
        self._set_pause(slot, sequence)

    def set_checkpoints(self) -> None:
        """Keep copies of what slots are about to lose: where a prompt ended, from which another
        reply can be made; where a reply did, which another prompt can follow; where others branch
        off; and on the way."""
        for slot in self.slots:
            if slot.due:
                slot.due = False
                self._set_checkpoint(slot)

    def release(self, sequence: Sequence) -> None:
        """The sequence has ended or must wait; its slot keeps what was computed."""
        slot = self._slot_of(sequence)
        slot.sequence = None
        slot.turns.add(len(slot.tokens))
        slot.due = True
        self._clock += 1
        slot.used = self._clock
        sequence.slot = None
        if sequence.alone:  # of the rest, the next prompt has steps that begin elsewhere
            self._truncate(slot, self._whole_steps(min(len(slot.tokens), sequence.n_prompt)))

    # -- room ------------------------------------------------------------------------------------

    def evict_idle(self) -> bool:
        """Empty the idle slot used longest ago, into the store; False: none holds anything."""
        idle = [slot for slot in self.slots if slot.sequence is None and slot.tokens]
        if not idle:
            return False
        slot = min(idle, key=lambda slot: slot.used)
        self._save(slot)
        self.empty(slot.index)
        return True

    def evict(self, sequence: Sequence) -> None:
        """Take a running sequence's slot and cells; the store keeps what was computed."""
        slot = self._slot_of(sequence)
        if sequence.alone:
            self.release(sequence)
            self._save(slot)
        else:
            self._save(slot)
            self.release(sequence)
        self.empty(slot.index)
        sequence.n_past = 0

    def bytes_held(self) -> tuple[int, int]:
        """What is kept in cells, and what in host memory."""
        lengths = [len(slot.tokens) for slot in self.slots if slot.tokens]
        in_cells = self._memory.slot_bytes.of(Cells.count(self.slots), lengths)
        stored = {id(state) for state in self._store.checkpoints_held()}
        own = sum(len(state) for id, state in self._distinct().items() if id not in stored)
        return in_cells, self._store.memory_held + own

    def idle_cells(self) -> int:
        """Cells that only idle slots hold; in a unified cache they slow every step down."""
        if self.partitioned:
            return 0
        return Cells.count(self.slots) - Cells.count(self._running())

    def empty(self, index: int) -> None:
        """Forget what a slot holds, in the cells and here."""
        self._truncate(self.slots[index], 0)

    def store_idle(self) -> bool:
        """Put one idle slot of a session that the store does not have into it; False: nothing left
        to do."""
        for slot in self.slots:
            if slot.sequence is None and slot.tokens.scope.session and not slot.stored:
                self._save(slot)
                slot.stored = True
                return True
        return False

    def store_all(self) -> None:
        """Put all sessions into the store; running sequences as far as they got."""
        for slot in self.slots:
            if slot.tokens.scope.session:
                self._save(slot)

    def forget_session(self, session: str) -> None:
        """Drop what slots and the store hold of a session, by its opaque name; what is being
        computed of it is found by nobody."""
        for slot in self.slots:
            if slot.tokens.scope.session == session:
                if slot.sequence is None:
                    self.empty(slot.index)
                slot.tokens.scope = Scope.nobody()
        self._store.forget(session)

    # -- inside ----------------------------------------------------------------------------------

    def _running(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.sequence is not None]

    def _slot_of(self, sequence: Sequence) -> Slot:
        assert sequence.slot is not None
        return self.slots[sequence.slot]

    def _begin(self, sequence: Sequence, slot: Slot, length: int, origin: CachedFrom) -> None:
        slot.sequence = sequence
        slot.tokens.scope = sequence.tokens.scope
        slot.used = self._clock
        sequence.start(slot.index, length, origin if length else None)
        self._plan(slot, sequence)

    def _whole_steps(self, length: int) -> int:
        """Of so many tokens those that a sequence by itself computes in the same steps, whatever
        its prompt goes on with."""
        return length - length % self._alone_chunk if self._alone_chunk else 0

    def _alone(self, tokens: PromptTokens) -> tuple[Slot, int, CachedFrom]:
        """A slot for a sequence by itself, with what others computed in the same steps."""
        idle = [slot for slot in self.slots if slot.sequence is None]
        slot = max(idle, key=lambda slot: (slot.tokens.common_prefix(tokens), slot.used))
        length = self._whole_steps(slot.tokens.common_prefix(tokens))
        if self._whole_steps(self._store.cached_prefix(tokens)) > length:
            slot, length, origin = self._from_store(tokens)
            return slot, self._truncate(slot, self._whole_steps(length)), origin
        if length:
            if len(slot.tokens) > length:
                self._save(slot)
            return slot, self._truncate(slot, length), "slot"
        slot = self._victim()
        self.empty(slot.index)
        return slot, 0, "slot"

    def _usable_prefix(self, slot: Slot, tokens: PromptTokens) -> int:
        """How many of the first tokens there are in that slot, or in a copy if it is at work."""
        return self._usable_after_cut(slot, tokens, copied=slot.sequence is not None)

    def _usable_after_cut(self, slot: Slot, tokens: PromptTokens, *, copied: bool) -> int:
        common, held = slot.tokens.common_prefix(tokens), len(slot.tokens)
        if common == held:
            return common
        marks = (one.length for one in slot.checkpoints)
        shortest = self._min_length(slot, copied=copied)
        return checkpoints.usable_length(common, held, shortest, marks, self._reach)

    def _min_length(self, slot: Slot, *, copied: bool) -> int:
        if copied and self.partitioned:  # by way of its state
            return self._memory.min_saved_length(len(slot.tokens))
        return self._memory.min_length(slot.index)

    def _known(self, tokens: PromptTokens) -> int:
        """How many of the first tokens were computed before, whether they can be had or not."""
        if not self._checkpoint_bytes:
            return 0
        held = max(slot.tokens.common_prefix(tokens) for slot in self.slots)
        return max(held, self._store.common_prefix(tokens))

    def _may_overwrite(self, slot: Slot, tokens: PromptTokens, length: int) -> bool:
        """Whether a sequence may go on in this slot, or had better copy from it."""
        lost = len(slot.tokens) - length
        copied = self._usable_after_cut(slot, tokens, copied=True)
        stays = slot.tokens.scope.session and not tokens.scope.session
        if lost < WORTH_MOVING or copied < length or self._only_free(slot):
            if lost >= WORTH_MOVING or stays:  # a session's state outlives the worker
                self._save(slot)
            return True
        return False

    def _only_free(self, slot: Slot) -> bool:
        return all(other is slot or other.sequence is not None for other in self.slots)

    def _victim(self, keep: Slot | None = None) -> Slot:
        """The free slot that is missed least, its state kept; `keep` is taken last.

        Slots with cells of their own are computed in one go only if their numbers follow each
        other, so that a neighbour of those at work is worth more than what it holds.
        """
        free = [slot for slot in self.slots if slot.sequence is None]
        near = {slot.index + way for slot in self._running() for way in (-1, 1)}

        def dear(slot: Slot) -> tuple[bool, bool, bool, int]:
            aloof = self.partitioned and slot.index not in near
            return slot is keep, aloof, bool(slot.tokens), slot.used

        slot = min(free, key=dear)
        self._save(slot)
        return slot

    def _from_slot(self, source: Slot, length: int) -> tuple[Slot, int, CachedFrom]:
        slot = self._victim(keep=source)
        if slot is source:
            return slot, self._truncate(slot, length), "slot"
        self.empty(slot.index)
        cut = self._cut(source, length, copied=True)
        if not self._memory.copy_prefix(source.index, slot.index, length, cut):
            self.empty(slot.index)
            return slot, 0, "shared"
        slot.tokens = source.tokens[:length]
        slot.checkpoints = [one for one in source.checkpoints if one.length <= length]
        self._cells.copy_prefix(source, slot, length)
        return slot, length, "shared"

    def _from_store(self, tokens: PromptTokens) -> tuple[Slot, int, CachedFrom]:
        slot = self._victim()
        self.empty(slot.index)
        found = self._store.take(tokens)
        if found is None:
            return slot, 0, "disk"
        while self.free_cells() < len(found.tokens) and self.evict_idle():
            pass
        if self.free_cells() < len(found.tokens) or not self._memory.restore(
            slot.index, found.state
        ):
            log.warning("a stored state of %d tokens could not be restored", len(found.tokens))
            self.empty(slot.index)
            return slot, 0, found.origin
        slot.tokens = found.tokens[:]
        slot.checkpoints = list(found.checkpoints)
        slot.runs = []
        self._cells.grow(slot, len(slot.tokens))
        slot.stored = True
        return (
            slot,
            self._truncate(slot, self._usable_after_cut(slot, tokens, copied=False)),
            found.origin,
        )

    def _cut(self, slot: Slot, length: int, *, copied: bool = False) -> Cut | None:
        """The checkpoints without which the slot can't be cut to that length."""
        if length in (0, len(slot.tokens)) or length >= self._min_length(slot, copied=copied):
            return None
        return checkpoints.cut_at(slot.checkpoints, length)

    def _truncate(self, slot: Slot, length: int) -> int:
        slot.due = False
        if len(slot.tokens) > length:
            length = self._memory.truncate(slot.index, length, self._cut(slot, length))
            slot.stored = False
        elif length == 0:
            self._memory.truncate(slot.index, 0)
        slot.tokens = slot.tokens[:length]
        slot.checkpoints = [one for one in slot.checkpoints if one.length <= length]
        self._cells.truncate(slot, length, self.slots)
        return length

    # -- inside: checkpoints ---------------------------------------------------------------------

    def _plan(self, slot: Slot, sequence: Sequence) -> None:
        """Where checkpoints are due in a sequence that begins in that slot; one where it does, for
        others will."""
        if not self._checkpoint_bytes:
            return
        n_prompt, here = sequence.n_prompt, sequence.n_past
        slot.turns, slot.ends, slot.marked = {here}, [], here
        self._set_checkpoint(slot)
        if self._reach:
            slot.turns.add(n_prompt)
        else:
            ids = sequence.tokens.ids(0, n_prompt)
            slot.ends = [at + 1 for at, id in enumerate(ids) if id in self._ends]
            slot.gap = checkpoints.least_gap(n_prompt, self._n_checkpoints)
            # The last token is computed again for another reply.
            near = slot.ends and n_prompt - TAIL <= slot.ends[-1] < n_prompt
            slot.turns.add(slot.ends[-1] if near else n_prompt - 1)
        self._set_pause(slot, sequence)

    def _set_pause(self, slot: Slot, sequence: Sequence) -> None:
        """The next place where a checkpoint is due."""
        if not self._checkpoint_bytes:
            return
        here = sequence.n_past
        following = checkpoints.next_length(slot.marked, slot.gap, self._reach, slot.ends)
        sequence.pause = min([following, *(turn for turn in slot.turns if turn > here)])

    def _set_checkpoint(self, slot: Slot) -> None:
        length = len(slot.tokens)
        there = any(one.length == length for one in slot.checkpoints)
        few = length < WORTH_MOVING and not self._reach
        if not self._checkpoint_bytes or not length or few or there:
            return
        state = self._memory.checkpoint(slot.index)
        if not state:
            return
        slot.checkpoints.append(Checkpoint(length, state, length in slot.turns))
        if self._reach:
            slot.checkpoints = checkpoints.without_needless(slot.checkpoints, self._reach)
        self._fit_checkpoints()

    def _fit_checkpoints(self) -> None:
        """Those of slots used longest ago go first, but for the last ones of each."""
        for kept in (KEPT_CHECKPOINTS, 0):
            for slot in sorted(self.slots, key=lambda slot: slot.used):
                while len(slot.checkpoints) > kept:
                    if sum(map(len, self._distinct().values())) <= self._checkpoint_bytes:
                        return
                    del slot.checkpoints[checkpoints.least_missed(slot.checkpoints, self._reach)]

    def _distinct(self) -> dict[int, State]:
        """Checkpoints of all slots; several may have the same ones."""
        return {id(one.state): one.state for slot in self.slots for one in slot.checkpoints}

    def _save(self, slot: Slot) -> None:
        """Have the store hold what the slot holds, if it is worth it."""
        if slot.stored or not self._store.should_save(slot.tokens):
            return
        state = self._memory.save(slot.index)
        if state:
            before = [one for one in slot.checkpoints if one.length < len(slot.tokens)]
            room = max(STORED_BYTES, len(state))
            while sum(len(one.state) for one in before) > room:
                del before[checkpoints.least_missed(before, self._reach)]
            self._store.put(slot.tokens[:], state, before)
            slot.stored = True
