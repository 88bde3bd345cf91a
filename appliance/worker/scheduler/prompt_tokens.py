"""The tokens of a prompt and its completion. Pure Python."""

import secrets
from array import array
from collections.abc import Iterable, Iterator
from typing import Self

import msgspec


class Scope(msgspec.Struct, frozen=True):
    """Who may reuse computed tokens: their owner and, for a stored session, requests that continue
    it. Others only find what is common to all."""

    owner: str = ""
    """Opaque."""
    session: str = ""
    """Opaque; empty: it belongs to none, and never leaves memory."""
    common: int = 0
    """Leading tokens that an administrator shares with everybody."""
    alone: str = ""
    """Computed in fixed steps, by itself, with the settings of this fingerprint, and so to the last
    digit as it would be again: found for others like it alone. Empty: it was not."""

    def shares_with(self, other: "Scope") -> bool:
        """Whether all of it may be found for `other`."""
        if self.alone != other.alone:
            return False
        return self.owner == other.owner or bool(self.session and self.session == other.session)

    @classmethod
    def nobody(cls) -> "Scope":
        """The scope of tokens whose session was deleted while they were computed."""
        return cls(owner=secrets.token_hex(16))


class PromptTokens:
    """A prompt and its completion, or the beginning of one, as the KV cache holds it.

    The one place that knows what stands in a cell: text is a token a cell. An image would be a run
    of cells that are alike or not as a whole, so whoever compares, cuts or stores a sequence does
    it here. And the one place that knows who may find it, so that nobody can forget to ask.
    """

    __slots__ = ("_ids", "scope")

    def __init__(self, ids: Iterable[int] = (), scope: Scope | None = None) -> None:
        self._ids = array("i", ids)
        self.scope = scope or _ANYBODY

    @classmethod
    def from_bytes(cls, data: bytes, scope: Scope) -> "PromptTokens":
        """The inverse of `to_bytes`.

        Raises:
            ValueError: it is cut short.
        """
        tokens = cls(scope=scope)
        tokens._ids.frombytes(data)
        return tokens

    def to_bytes(self) -> bytes:
        """32 bits each, this machine's byte order."""
        return self._ids.tobytes()

    def common_prefix(self, other: "PromptTokens") -> int:
        """Number of tokens that both begin with and either may find of the other; the comparing is
        done by C."""
        a, b = self._ids, other._ids  # noqa: SLF001 - one of our own
        low, high = 0, min(len(a), len(b))
        if not self.scope.shares_with(other.scope):
            high = min(high, self.scope.common, other.scope.common)
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
        """Ids of the vocabulary, in llama.cpp's form."""
        return self._ids[start:stop]

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __getitem__(self, part: slice) -> "PromptTokens":
        tokens = PromptTokens(scope=self.scope)
        tokens._ids = self._ids[part]
        return tokens

    def __iadd__(self, other: "PromptTokens") -> Self:
        self._ids += other._ids
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PromptTokens) and self._ids == other._ids

    __hash__ = None  # type: ignore[assignment]  # it grows


_ANYBODY = Scope()
