"""How a model writes its calls: a description that `call_parser` follows. Pure Python.

A mark is text that the model writes around names and arguments, without white space at its ends;
`HOLE` in it stands for what differs from call to call, as a number or an id.
"""

import enum
import functools
import re
from typing import Literal

import msgspec

HOLE = "\0"
_IN_HOLE = re.compile(r"[\w.\-]*")
MAX_MARK = 160
"""Characters of what stands in a hole, at most."""


class ArgumentStyle(enum.Enum):
    """How arguments are written."""

    OBJECT = "object"
    """The call is a JSON object with a name and arguments in it."""
    KEYED = "keyed"
    """The call is a JSON object whose only key is the name."""
    JSON = "json"
    """A JSON object after the name."""
    TAGGED = "tagged"
    """Marks around each name and each value; text is as it is, anything else JSON."""
    QUOTED = "quoted"
    """An object with bare keys and a mark for quotes, as Gemma 4 has it."""
    PYTHON = "python"
    """Keyword arguments of Python, in brackets."""


class CallSyntax(msgspec.Struct, frozen=True, kw_only=True):
    """One way to write calls."""

    style: ArgumentStyle
    section: tuple[str, str] = ("", "")
    """Marks around all calls."""
    call: tuple[str, str] = ("", "")
    """Marks around each call."""
    separator: str = ""
    """Between two calls, besides."""
    bare: bool = False
    """The mark before all calls may be missing, where an object opens the reply."""
    listed: bool = False
    """The calls are a list in square brackets."""
    offered_only: bool = False
    """The marks alone say too little: a call is one of a function that was offered."""
    parallel: bool = True
    """There may be several in a reply."""
    name_key: str = "name"
    arguments_key: str = "arguments"
    keys: frozenset[str] = frozenset()
    """Further keys of the object."""
    after_name: str = ""
    """Between a name and its arguments."""
    after_label: str = ""
    """What may stand there instead."""
    argument: tuple[str, str, str, str] = ("", "", "", "")
    """Marks before an argument's name, between it and text, between it and another value, and
    after the value; a hole in the last is the name."""
    between: str = ""
    """Two arguments."""
    padding: tuple[str, str] = ("", "")
    """White space around a value that does not belong to it."""
    quote: str = ""
    """The mark for quotes, if arguments are so written."""

    @property
    def inner(self) -> str:
        """The last of several marks before a call: models leave out those before it."""
        *before, last = self.call[0].split() or [""]
        return last if before and last[0] == "<" else ""

    @property
    def openings(self) -> tuple[str, ...]:
        """What a call may begin with; none: a bare object."""
        return tuple(mark for mark in (self.section[0], self.call[0], self.inner) if mark)

    @property
    def marks(self) -> frozenset[str]:
        """All texts of marks, as far as they are known beforehand."""
        whole = (*self.section, *self.call, self.separator, self.after_name, self.after_label)
        return frozenset(
            piece
            for mark in (*whole, *self.argument, self.between, self.quote)
            for piece in _pieces(mark)
            if piece != HOLE and not piece.isspace()
        )


Matched = int | Literal["no", "more"]
_PIECES = re.compile(rf"({HOLE}|\s+)")
_SPACE = re.compile(r"\s*")


@functools.cache
def _pieces(mark: str) -> tuple[str, ...]:
    return tuple(piece for piece in _PIECES.split(mark) if piece)


def match(text: str, at: int, mark: str) -> Matched:
    """Where `mark` ends if it begins at `at`; `more`: the text ends before that is certain. White
    space in it may be any, or none."""
    start = at
    for piece in _pieces(mark):
        if piece == HOLE or piece.isspace():
            found = (_IN_HOLE if piece == HOLE else _SPACE).match(text, at)
            assert found
            at = found.end()
            if at - start > MAX_MARK:
                return "no"
            if at == len(text):
                return "more"
        elif text.startswith(piece, at):
            at += len(piece)
        elif len(text) - at < len(piece) and piece.startswith(text[at:]):
            return "more"
        else:
            return "no"
    return at


def first_piece(mark: str) -> str:
    """The text that a mark begins with for certain."""
    return next(iter(_pieces(mark)), "")
