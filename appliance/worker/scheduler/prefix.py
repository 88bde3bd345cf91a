"""Token sequences, and how much two have in common. Pure Python."""

from array import array


def common_prefix(a: "array[int]", b: "array[int]") -> int:
    """Number of tokens that `a` and `b` share from the start; the comparing is done by C."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low
