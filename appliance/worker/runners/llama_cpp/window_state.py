"""Windows as llama.cpp saves them, put together anew.

A state has, for each cell, the token's position, and then of each layer the cells' keys, and of
each layer their values; without flash attention values lie across, the same number of all cells
side by side (`llama_kv_cache::state_write`). A state that reads otherwise is none of these.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from appliance.worker.runners.checkpoints import State

_HEAD, _COUNT, _CELL = struct.Struct("=II"), struct.Struct("=I"), struct.Struct("=iIi")
_KEYS, _VALUES = struct.Struct("=iQ"), struct.Struct("=iII")
_FORM = struct.Struct("=II")


@dataclass(slots=True)
class _Window:
    """Where things are in a state."""

    view: memoryview
    positions: list[int]
    """Of the cells, in their order."""
    cells_at: int
    n_empty: tuple[int, int]
    """Streams without cells, before and behind."""
    rows: list[tuple[int, int, int, int]]
    """Where it begins; bytes of what stands before it; how many rows follow; bytes of a cell in
    each."""


def window_at(states: Sequence[State], length: int, window: int) -> bytes | None:
    """The window as it was after `length` tokens, of states that have its cells among them; None:
    they have not.

    Args:
        window: tokens that a token looks back, itself included.
    """
    try:
        read = [_read(state) for state in states]
    except (struct.error, ValueError):
        return None
    first = max(0, length - window + 1)
    places = {
        position: (which, cell)
        for which, one in enumerate(read)
        for cell, position in enumerate(one.positions)
    }
    try:
        chosen = [places[position] for position in range(first, length)]
    except KeyError:
        return None
    if not chosen or len({(tuple(map(_form, one.rows)), one.n_empty) for one in read}) > 1:
        return None
    return _written(read, chosen)


def readable(state: State) -> bool:
    """Whether this state is one of a window and nothing else."""
    try:
        return bool(_read(state).positions)
    except (struct.error, ValueError):
        return False


def _form(row: tuple[int, int, int, int]) -> tuple[int, int, int]:
    return row[1:]


def _read(state: State) -> _Window:
    """
    Raises:
        ValueError, struct.error: it is something else.
    """
    view = memoryview(state).cast("B")
    at = _HEAD.size
    (n_streams,) = _COUNT.unpack_from(view, at)
    at += _COUNT.size
    counts, window = [], None
    for _ in range(n_streams):
        (count,) = _COUNT.unpack_from(view, at)
        at += _COUNT.size
        counts.append(count)
        if count:
            if window is not None:
                raise ValueError("a sequence lies in one stream")
            window, at = _read_stream(view, at, count)
    if window is None or at != len(view):
        raise ValueError("it has something else, too")
    full = next(index for index, count in enumerate(counts) if count)
    window.n_empty = (full, n_streams - full - 1)
    return window


def _read_stream(view: memoryview, at: int, count: int) -> tuple[_Window, int]:
    cells_at = at
    cells = [_CELL.unpack_from(view, at + n * _CELL.size) for n in range(count)]
    if any(n_seq != 1 or position < 0 for position, n_seq, _ in cells):
        raise ValueError("these are no cells of one sequence")
    at += count * _CELL.size
    across, n_layers = _FORM.unpack_from(view, at)
    at += _FORM.size
    if across > 1:
        raise ValueError("this is no form of values")
    rows = []
    for layer in range(2 * n_layers):
        if layer < n_layers or not across:
            _, size = _KEYS.unpack_from(view, at)
            row = (at, _KEYS.size, 1, size)
        else:
            _, size, n_rows = _VALUES.unpack_from(view, at)
            row = (at, _VALUES.size, n_rows, size)
        rows.append(row)
        at += row[1] + row[2] * row[3] * count
        if at > len(view):
            raise ValueError("it is too short")
    positions = [position for position, _, _ in cells]
    return _Window(view, positions, cells_at, (0, 0), rows), at


def _written(read: list[_Window], chosen: list[tuple[int, int]]) -> bytes:
    """A state of the chosen cells, each with the state that it is of."""
    # Cells that follow each other are copied together.
    numbered = groupby(enumerate(chosen), lambda one: (one[1][0], one[1][1] - one[0]))
    runs = [
        (which, cells[0], len(cells))
        for (which, _), group in numbered
        for cells in [[cell for _, (_, cell) in group]]
    ]
    model = read[0]
    parts: list[bytes | memoryview] = [model.view[: _HEAD.size]]
    parts.append(_COUNT.pack(sum(model.n_empty) + 1))
    parts.append(bytes(_COUNT.size * model.n_empty[0]) + _COUNT.pack(len(chosen)))
    for which, cell, count in runs:
        at = read[which].cells_at + cell * _CELL.size
        parts.append(read[which].view[at : at + count * _CELL.size])
    form = model.cells_at + len(model.positions) * _CELL.size
    parts.append(model.view[form : form + _FORM.size])
    for number, (at, head, n_rows, size) in enumerate(model.rows):
        parts.append(model.view[at : at + head])
        for row in range(n_rows):
            for which, cell, count in runs:
                one = read[which]
                begin = one.rows[number][0] + head
                begin += (row * len(one.positions) + cell) * size
                parts.append(one.view[begin : begin + count * size])
    parts.append(bytes(_COUNT.size * model.n_empty[1]))
    return b"".join(parts)
