"""What a reply is made of once its text has been understood. Pure Python.

The parsers behind `TextStream` take text as it comes and give pieces: what a person reads, what the
model thought, and calls of functions. However the text was cut into parts, the same pieces come
out, apart from where they are cut themselves.
"""

import secrets
from collections.abc import Sequence
from typing import Protocol

import msgspec


class Content(msgspec.Struct, frozen=True, tag="content"):
    """Text of the answer."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """Text that the model thought before it answered, without its tags."""

    text: str


class ToolCallBegan(msgspec.Struct, frozen=True, tag="tool_call_began"):
    """The model calls a function; `ToolCallArguments` of the same index follow."""

    index: int
    """0, 1, … in the order in which the model wrote them."""
    id: str
    """Ours, `call_` and 24 hexadecimal digits; drawn anew each time."""
    name: str


class ToolCallArguments(msgspec.Struct, frozen=True, tag="tool_call_arguments"):
    """More of a call's arguments: JSON text just as the model wrote it."""

    index: int
    delta: str


Piece = Content | Reasoning | ToolCallBegan | ToolCallArguments


Segment = tuple[str, bool]
"""Text for a model, and whether control tokens in it are meant as such."""


class ReplyParser(Protocol):
    """Text in, pieces out."""

    def feed(self, text: str) -> list[Piece]:
        """What is certain now; text that may still turn out to be markup is held back."""

    def finish(self) -> list[Piece]:
        """The reply has ended: what was held back."""


class Chain:
    """One parser behind another: the second reads the content that the first lets through."""

    def __init__(self, first: ReplyParser, second: ReplyParser) -> None:
        self._first = first
        self._second = second

    def feed(self, text: str) -> list[Piece]:
        """See `ReplyParser`."""
        return self._through(self._first.feed(text))

    def finish(self) -> list[Piece]:
        """See `ReplyParser`."""
        return self._through(self._first.finish()) + self._second.finish()

    def _through(self, pieces: Sequence[Piece]) -> list[Piece]:
        out: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, Content):
                out += self._second.feed(piece.text)
            else:
                out.append(piece)
        return out


class Resumed:
    """A parser that first reads the beginning of a reply, of which people were told already.

    What looked like the beginning of markup at its end is held back by the parser, but was told in
    the end: it is not told again.
    """

    def __init__(self, parser: ReplyParser, written: str, told: str) -> None:
        """`written`: the beginning as the model wrote it; `told`: its last part as it was told."""
        self._parser = parser
        pieces = [piece for piece in parser.feed(written) if isinstance(piece, Content | Reasoning)]
        known = pieces[-1].text if pieces and told.startswith(pieces[-1].text) else ""
        self._held = told[len(known) :]

    def feed(self, text: str) -> list[Piece]:
        """See `ReplyParser`."""
        return self._news(self._parser.feed(text))

    def finish(self) -> list[Piece]:
        """See `ReplyParser`."""
        return self._news(self._parser.finish())

    def _news(self, pieces: list[Piece]) -> list[Piece]:
        out: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, Content | Reasoning):
                text, held = piece.text, self._held
                # What goes on otherwise was markup after all.
                self._held = held[len(text) :] if held.startswith(text) else ""
                new = "" if held.startswith(text) else text.removeprefix(held)
                out.append(type(piece)(new))
            else:
                out.append(piece)
        return joined(out)


class Plain:
    """For models without markup: all text is content."""

    def feed(self, text: str) -> list[Piece]:
        """See `ReplyParser`."""
        return [Content(text)] if text else []

    def finish(self) -> list[Piece]:
        """See `ReplyParser`."""
        return []


def new_call_id() -> str:
    """An id that no other call has."""
    return f"call_{secrets.token_hex(12)}"


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """The same pieces with neighbours of one kind made one, and empty ones left out."""
    out: list[Piece] = []
    for piece in pieces:
        last = out[-1] if out else None
        if isinstance(piece, Content | Reasoning):
            if not piece.text:
                continue
            if isinstance(last, type(piece)):
                out[-1] = type(piece)(last.text + piece.text)
                continue
        elif isinstance(piece, ToolCallArguments):
            if not piece.delta:
                continue
            if isinstance(last, ToolCallArguments) and last.index == piece.index:
                out[-1] = ToolCallArguments(piece.index, last.delta + piece.delta)
                continue
        out.append(piece)
    return out


def possible_start(text: str, mark: str) -> int:
    """Length of the longest end of `text` with which `mark` begins, `mark` as a whole left out."""
    for size in range(min(len(text), len(mark) - 1), 0, -1):
        if mark.startswith(text[-size:]):
            return size
    return 0
