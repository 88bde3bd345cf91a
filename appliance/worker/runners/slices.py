"""Splits long texts into slices with the same tokens as the whole text."""

import re
from collections.abc import Iterable, Iterator

SLICE = 8000
"""Characters. llama.cpp looks for each special token in what is left of a text after the last one
that it found: the time for it grows by the square."""
NEAR = 400
"""Characters before the end of a slice where a cut is looked for first."""

_LETTER = r"[^\W\d_]"
_LINE, _SPACE = rf"(?<={_LETTER})\n(?={_LETTER})", rf"(?<={_LETTER}) (?={_LETTER})"
_ENDS_IN_LETTER = re.compile(rf"^{_LETTER}|{_LETTER}$")


def cuts(texts: Iterable[str], special: Iterable[str]) -> "re.Pattern[str] | None":
    """Where texts can be cut, for a vocabulary that builds its tokens of smaller ones.

    Between a letter and a line's or a word's end nothing is ever joined if there is no token with
    the two beside each other.

    Args:
        texts: of all tokens.
        special: texts of the special ones, which are found first.

    Returns:
        None: nowhere for certain.
    """
    if any(_ENDS_IN_LETTER.search(text) for text in special):
        return None
    left = {_LINE: re.compile(rf"{_LETTER}\n"), _SPACE: re.compile(rf"{_LETTER} ")}
    for text in texts:
        for cut in [cut for cut, joined in left.items() if joined.search(text)]:
            del left[cut]
    return re.compile("|".join(left)) if left else None


def slices(text: str, cut: "re.Pattern[str] | None") -> Iterator[str]:
    """The text in parts of some thousand characters, or longer ones where there is no cut."""
    at = 0
    while cut and len(text) - at > SLICE:
        end = at + SLICE
        found = _last(cut, text, end - NEAR, end) or _last(cut, text, at + 1, end)
        found = found or cut.search(text, end)
        if found is None:
            break
        yield text[at : found.start()]
        at = found.start()
    yield text[at:]


def _last(cut: "re.Pattern[str]", text: str, start: int, end: int) -> "re.Match[str] | None":
    # What follows a cut is looked at, too.
    found = None
    for match in cut.finditer(text, start, end + 1):
        found = match
    return found
