"""Untrusted text on a terminal: control characters are shown as escapes, never sent.

A model file, a hub or a chat may hold anything. A terminal takes control characters in it for
orders (to move, to answer, to fill a clipboard), and marks of direction make a name read as another
one. JSON needs none of this: it escapes them itself.
"""

import re
from typing import Any

_STEERING = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""C0, C1, line separators, the marks that turn the direction of text, and halves of characters,
which no terminal can be sent."""
_IN_A_LINE = re.compile(f"[{_STEERING}]")
_IN_LINES = re.compile(rf"(?![\n\t])[{_STEERING}]")


def line(text: str) -> str:
    """Text as part of a line: ends of lines are escaped as well."""
    return _IN_A_LINE.sub(_escape, text)


def lines(text: str) -> str:
    """Text that has lines of its own: their ends and tabs stay as they are."""
    return _IN_LINES.sub(_escape, text.replace("\r\n", "\n"))


def all_lines(found: Any) -> Any:
    """A copy of what JSON can say, each of its strings fit to be part of a line."""
    if isinstance(found, str):
        return line(found)
    if isinstance(found, dict):
        return {all_lines(key): all_lines(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [all_lines(item) for item in found]
    return found


def _escape(found: "re.Match[str]") -> str:
    return found[0].encode("unicode_escape").decode("ascii")
