"""Where a slot can be cut whose model keeps more than a cell for each token. Pure Python.

A recurrent layer has one state, of all that was read; a layer with a window keeps so many tokens
and no more. A slot that goes on loses what it would need to go on from an earlier place. A
checkpoint is a copy of that part of the state, as it was at such a place.

Windows overlap: of two that lie no more than a window apart, the window of every place between
them can be put together. A chain of them, one a window, loses nothing. The state of a recurrent
layer serves where it was taken, and there alone, so that they lie the closer the nearer they are to
the beginning: an edit anywhere then costs about the same share of what stands before it.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

State = bytes | bytearray | memoryview
"""A state as llama.cpp writes it."""

SHARE = 0.05
"""Of the tokens before it, what an edit may cost where there is room for enough checkpoints."""
FIRST, LEAST_STEP = 128, 16
"""Tokens before the first one inside a prompt, and between two; to read so few again takes less
time than to interrupt a prompt for more."""
TURN = 8
"""How many times as much the end of a prompt or reply counts as other places: chats go on there."""


class Checkpointing(NamedTuple):
    """What checkpoints of a model are."""

    size: int
    """Bytes of one, at most."""
    reach: int
    """Of two that lie so many tokens apart, or fewer, any place between is restored; 0: one
    restores the place where it was taken."""


class Checkpoint(NamedTuple):
    """What can't be cut, as it was after so many tokens."""

    length: int
    state: State
    turn: bool = False
    """A prompt or a reply ended here, or others branched off."""


class Cut(NamedTuple):
    """The checkpoints that restore a place: the last one before or at it, and the first one after,
    where that is needed; None: the beginning, and what there is now."""

    before: Checkpoint | None
    after: Checkpoint | None


def usable_length(
    common: int, held: int, shortest: int, marks: Iterable[int], reach: int = 0
) -> int:
    """How many tokens can be kept of what is held, for a sequence that has `common` with it.

    Args:
        common: tokens that both begin with.
        held: tokens of the slot or state.
        shortest: the fewest that it can be cut to without a checkpoint.
        marks: after how many tokens there are checkpoints.
        reach: see `Checkpointing`.
    """
    if common == held or common >= shortest:
        return common
    lengths = list(marks)
    below = max((length for length in lengths if length <= common), default=0)
    if reach:
        above = min((length for length in lengths if length > common), default=held)
        # A window is one longer than what the next token looks back to.
        if above - below <= reach or above - common == 1:
            return common
    return below


def cut_at(checkpoints: Sequence[Checkpoint], length: int) -> Cut:
    """Those that take a slot back to `length` tokens."""
    before = max((one for one in checkpoints if one.length <= length), default=None, key=_length)
    if before and before.length == length:
        return Cut(before, None)
    after = min((one for one in checkpoints if one.length > length), default=None, key=_length)
    return Cut(before, after)


def _length(one: Checkpoint) -> int:
    return one.length


def least_gap(n_prompt: int, count: int) -> int:
    """Tokens that two checkpoints in a prompt lie apart at least, if there is room for `count` of
    them. Where they are scarce they lie evenly, but for the last: an edit near the beginning leaves
    so much to be read in any case that what it costs besides is little."""
    if n_prompt <= FIRST or math.log(n_prompt / FIRST, 1 + SHARE) < count:
        return LEAST_STEP
    return max(LEAST_STEP, -(-n_prompt // max(1, count)))


def next_length(last: int, gap: int, reach: int, ends: Sequence[int]) -> int:
    """Where the next checkpoint is due after one at `last` tokens, 0: none was yet.

    Args:
        gap: see `least_gap`.
        reach: see `Checkpointing`.
        ends: where messages end; one that lies well on the way is taken instead.
    """
    if reach:
        return last + reach
    step = max(gap, int(last * SHARE) + 1)
    planned = max(FIRST, last + step)
    return max((end for end in ends if last + step // 2 < end <= planned), default=planned)


def least_missed(checkpoints: Sequence[Checkpoint], reach: int) -> int:
    """The index of the one without which least would have to be read again. The last one stays
    while there is another."""
    if len(checkpoints) == 1:
        return 0

    def cost(index: int) -> float:
        before = checkpoints[index - 1].length if index else 0
        after = checkpoints[index + 1].length
        if after - before <= reach:
            return 0.0
        # Between the tokens it costs and their share of those before it; see `least_gap`.
        weight = TURN if checkpoints[index].turn else 1
        return weight * (after - before) / (after + checkpoints[-1].length)

    return min(range(len(checkpoints) - 1), key=cost)


def without_needless(checkpoints: Sequence[Checkpoint], reach: int) -> list[Checkpoint]:
    """Those of a chain that still has no gap."""
    kept: list[Checkpoint] = []
    for index, one in enumerate(checkpoints):
        before = kept[-1].length if kept else 0
        following = checkpoints[index + 1].length if index + 1 < len(checkpoints) else None
        if following is None or following - before > reach:
            kept.append(one)
    return kept
