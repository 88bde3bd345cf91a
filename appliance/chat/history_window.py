"""Which part of a long chat a model is given. Pure Python.

A window that slid with every turn would begin elsewhere each time, and all that the model has read
would be worth nothing. So it stands still for many turns and then moves by half its size.
"""


def left_out(count: int, most: int) -> int:
    """How many of the oldest of `count` messages are left out, so that at most `most` remain.

    An even number: a question and its answer go together. The last message always stays.
    """
    if count <= most:
        return 0
    step = max(2, most // 4 * 2)
    return min(-(-(count - most) // step) * step, count - 1)
