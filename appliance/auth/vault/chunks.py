"""One document in a store of short texts, such as a keyring: over several entries if it must be.

The entry `vault` is the document, or says where its pieces are, as `set:count:digest`. There are
two sets of pieces, so that the old one is whole until the new one is.
"""

import hashlib
from typing import Protocol

HEAD = "vault"
_TRIES = 3
_MOST_PIECES = 4096


class Texts(Protocol):
    """Texts by name; whatever goes wrong is a VaultUnavailable."""

    def get(self, name: str) -> str | None:
        """The text, or None."""

    def put(self, name: str, text: str) -> None:
        """Writes or replaces it."""

    def drop(self, name: str) -> None:
        """Deletes it."""


def read(texts: Texts) -> bytes | None:
    """The document; None if there is none, and empty, which is no document, if it is damaged."""
    # Another process may replace the pieces while they are read.
    for _ in range(_TRIES):
        head = texts.get(HEAD)
        if head is None or head.startswith("{"):
            return None if head is None else head.encode()
        names, digest = _named_by(head)
        whole = "".join(texts.get(name) or "" for name in names)
        if _digest(whole) == digest:
            return whole.encode()
    return b""


def write(texts: Texts, document: bytes, length: int) -> None:
    """Replaces the document by another one; `length`: characters that one text may have."""
    whole = document.decode()
    head = texts.get(HEAD)
    old, _ = _named_by(head) if head and not head.startswith("{") else ([], "")
    if len(whole) <= length:
        texts.put(HEAD, whole)
    else:
        pieces = [whole[start : start + length] for start in range(0, len(whole), length)]
        which = "b" if old and old[0] == _name("a", 0) else "a"
        for number, piece in enumerate(pieces):
            texts.put(_name(which, number), piece)
        texts.put(HEAD, f"{which}:{len(pieces)}:{_digest(whole)}")
    for name in old:
        texts.drop(name)


def _named_by(head: str) -> tuple[list[str], str]:
    """Names of the pieces, and the digest of the whole, which nothing has if `head` is damaged."""
    which, _, rest = head.partition(":")
    count, _, digest = rest.partition(":")
    if which not in ("a", "b") or not (count.isascii() and count.isdecimal() and len(count) < 6):
        return [], ""
    return [_name(which, number) for number in range(min(int(count), _MOST_PIECES))], digest


def _name(which: str, number: int) -> str:
    return f"{HEAD}.{which}.{number}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
