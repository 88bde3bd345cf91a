"""The points at which a slot with sliding-window layers can be truncated. Pure Python.

Layers with a window keep only its tokens, so that a slot which continues loses what it would need
to continue from an earlier position. A checkpoint is a copy of the window at such a place.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

State = bytes | bytearray | memoryview
"""A state as llama.cpp writes it."""


class Checkpoint(NamedTuple):
    """The window after this many tokens. It can also be used after one token less."""

    length: int
    state: State


def usable_length(common: int, held: int, shortest: int, marks: Iterable[int]) -> int:
    """How many tokens can be kept of what is held, for a sequence that has `common` with it.

    Args:
        common: tokens that both begin with.
        held: tokens of the slot or state.
        shortest: the fewest that it can be cut to without a checkpoint.
        marks: after how many tokens there are checkpoints.
    """
    if common == held or common >= shortest:
        return common
    return max((min(mark, common) for mark in marks if mark - 1 <= common), default=0)


def at(checkpoints: Sequence[Checkpoint], length: int) -> Checkpoint | None:
    """The one that takes a slot back to `length` tokens."""
    return next((one for one in checkpoints if one.length - 1 <= length <= one.length), None)
