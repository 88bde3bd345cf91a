"""Prefixes of token sequences: how much two have in common. Pure Python."""

from array import array

Tokens = array
"""`array("i")` of token ids: compared by C, 4 bytes a token."""


def tokens_of(ids: list[int]) -> "array[int]":
    """Token ids in the form that is compared fast."""
    return array("i", ids)


def common_prefix(a: "array[int]", b: "array[int]") -> int:
    """Number of tokens that `a` and `b` share from the start."""
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
