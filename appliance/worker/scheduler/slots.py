"""Slots, and how many distinct cells of a KV cache they hold together. Pure Python."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.worker.runners.checkpoints import Checkpoint
from appliance.worker.scheduler.prompt_tokens import PromptTokens
from appliance.worker.scheduler.sequence import Sequence


@dataclass(slots=True, eq=False)
class Slot:
    """What the KV cache holds of one llama.cpp sequence id."""

    index: int
    tokens: PromptTokens = field(default_factory=PromptTokens)
    sequence: Sequence | None = None
    used: int = 0
    """Time of the last use, counted in steps; the smallest is evicted first."""
    stored: bool = False
    """The store has this very state."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    """In order."""
    due: bool = False
    """A checkpoint is due here, before the slot goes on."""
    turns: set[int] = field(default_factory=set)
    """After how many tokens a prompt ends, or others branch off: a checkpoint is due there."""
    ends: list[int] = field(default_factory=list)
    """After how many tokens a message of the prompt ends, in order."""
    gap: int = 0
    """Tokens that checkpoints lie apart at least, see `checkpoints.least_gap`."""
    marked: int = 0
    """Tokens before the last checkpoint that was due, whether it is kept or not."""
    runs: list[tuple[int, int]] = field(default_factory=list)
    """The cells, as segment and length, in order; see `Cells`."""


class Cells:
    """Counts cells once that several slots share.

    Cells are counted in segments: what one slot computed in one go. A slot that was given a prefix
    holds the beginning of another's segment; only the slot that made a segment lengthens it, and
    only as long as it holds all of it.
    """

    def __init__(self) -> None:
        self._ids = itertools.count()
        self._segments: dict[int, tuple[int, int]] = {}
        """Segment → the slot that made it, and its whole length."""

    def grow(self, slot: Slot, count: int) -> None:
        """The slot computed `count` more tokens."""
        if slot.runs:
            segment, length = slot.runs[-1]
            if self._segments[segment] == (slot.index, length):
                self._segments[segment] = (slot.index, length + count)
                slot.runs[-1] = (segment, length + count)
                return
        segment = next(self._ids)
        self._segments[segment] = (slot.index, count)
        slot.runs.append((segment, count))

    def copy_prefix(self, source: Slot, target: Slot, length: int) -> None:
        """The empty slot `target` now holds the first `length` tokens of `source` as well."""
        target.runs = _first(source.runs, length)

    def truncate(self, slot: Slot, length: int, slots: Iterable[Slot]) -> None:
        """The slot holds its first `length` tokens only; `slots` are all there are."""
        slot.runs = _first(slot.runs, length)
        held = {segment for other in slots for segment, _ in other.runs}
        for segment in [segment for segment in self._segments if segment not in held]:
            del self._segments[segment]

    @staticmethod
    def count(slots: Iterable[Slot]) -> int:
        """Distinct cells that these slots hold."""
        longest: dict[int, int] = {}
        for slot in slots:
            for segment, length in slot.runs:
                longest[segment] = max(length, longest.get(segment, 0))
        return sum(longest.values())


def _first(runs: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] = []
    for segment, size in runs:
        if length <= 0:
            break
        kept.append((segment, min(size, length)))
        length -= size
    return kept
