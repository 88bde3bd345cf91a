"""What a model was given to read and has written, token by token. Pure Python."""

from array import array
from collections.abc import Iterable, Iterator
from typing import Self


class PromptTokens:
    """A prompt and its completion, or the beginning of one, as the KV cache holds it.

    The one place that knows what stands in a cell: text is a token a cell. An image would be a run
    of cells that are alike or not as a whole, so whoever compares, cuts or stores a sequence does
    it here.
    """

    __slots__ = ("_ids",)

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._ids = array("i", ids)

    @classmethod
    def from_bytes(cls, data: bytes) -> "PromptTokens":
        """The inverse of `to_bytes`.

        Raises:
            ValueError: it is cut short.
        """
        tokens = cls()
        tokens._ids.frombytes(data)
        return tokens

    def to_bytes(self) -> bytes:
        """32 bits each, this machine's byte order."""
        return self._ids.tobytes()

    def common_prefix(self, other: "PromptTokens") -> int:
        """Number of tokens that both begin with; the comparing is done by C."""
        a, b = self._ids, other._ids  # noqa: SLF001 - one of our own
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

    def append(self, token: int) -> None:
        """One more, which was sampled."""
        self._ids.append(token)

    def ids(self, start: int, stop: int) -> "array[int]":
        """Of the vocabulary, as llama.cpp takes them."""
        return self._ids[start:stop]

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __getitem__(self, part: slice) -> "PromptTokens":
        tokens = PromptTokens()
        tokens._ids = self._ids[part]
        return tokens

    def __iadd__(self, other: "PromptTokens") -> Self:
        self._ids += other._ids
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PromptTokens) and self._ids == other._ids

    __hash__ = None  # type: ignore[assignment]  # it grows
