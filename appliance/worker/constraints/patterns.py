"""Regular expressions of requests and of JSON schemas, which are ECMA-262's, for llguidance, which
reads Rust's."""

import re

_SPACE = (
    r"\t\n\v\f\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}"
)
"""What ECMA-262 takes for white space. Rust has U+0085 instead of the last one."""
_PART = re.compile(r"\\.|.", re.DOTALL)
MOST_CHARACTERS = 16_384
"""Of a regular expression that a reply is to match."""


def translated(pattern: str) -> str:
    """The same with white space as ECMA-262 has it; the two mean the same by all else that both
    take."""
    out, inside = [], False
    for part in _PART.findall(pattern):
        if part == r"\S":
            out.append(f"[^{_SPACE}]")
        elif part == r"\s":
            out.append(_SPACE if inside else f"[{_SPACE}]")
        else:
            inside = part == "[" or (inside and part != "]")
            out.append(part)
    return "".join(out)


def whole(pattern: str) -> str:
    """The same for a text that has to match from its beginning to its end: anchors there mean
    nothing then, and llguidance takes none.

    Raises:
        ValueError: it is too long.
    """
    if len(pattern) > MOST_CHARACTERS:
        raise ValueError(f"it has more than {MOST_CHARACTERS} characters")
    for anchor in ("^", r"\A"):
        pattern = pattern.removeprefix(anchor)
    for anchor in ("$", r"\Z", r"\z"):
        rest = pattern.removesuffix(anchor)
        # Behind a backslash of its own it is none.
        if rest != pattern and (len(rest) - len(rest.rstrip("\\"))) % 2 == 0:
            pattern = rest
            break
    return translated(pattern)
