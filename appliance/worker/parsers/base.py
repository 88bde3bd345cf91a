"""What a reply is made of once its text has been parsed. Pure Python.

The parsers behind `Detokenizer` take text as it comes and give parts of the output: what a person
reads, the reasoning, and tool calls. However the text was cut, the same parts come out, apart from
where they are cut themselves.
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
    """A new id of our own: `call_` and 24 random hexadecimal digits."""
    name: str


class ToolCallArguments(msgspec.Struct, frozen=True, tag="tool_call_arguments"):
    """More of a call's arguments: JSON text just as the model wrote it."""

    index: int
    delta: str


OutputPart = Content | Reasoning | ToolCallBegan | ToolCallArguments


PromptSegment = tuple[str, bool]
"""Text for a model, and whether special tokens in it are parsed as such."""


class ReplyParser(Protocol):
    """Text in, parts of the output out."""

    @property
    def over(self) -> bool:
        """What follows is left out, so that the reply may end here."""

    def feed(self, text: str) -> list[OutputPart]:
        """What is certain now; text that may still turn out to be markup is held back."""

    def finish(self) -> list[OutputPart]:
        """The reply has ended: what was held back."""


class ParserChain:
    """One parser behind another: the second reads the content that the first lets through."""

    def __init__(self, first: ReplyParser, second: ReplyParser) -> None:
        self._first = first
        self._second = second

    @property
    def over(self) -> bool:
        return self._second.over

    def feed(self, text: str) -> list[OutputPart]:
        return self._through(self._first.feed(text))

    def finish(self) -> list[OutputPart]:
        return self._through(self._first.finish()) + self._second.finish()

    def _through(self, parts: Sequence[OutputPart]) -> list[OutputPart]:
        out: list[OutputPart] = []
        for part in parts:
            if isinstance(part, Content):
                out += self._second.feed(part.text)
            else:
                out.append(part)
        return out


class ThoughtChain:
    """A parser of thoughts before one of calls, where a thought that is never closed may end in
    calls: some models forget to close it. Calls in one that is closed were only thought of."""

    def __init__(self, thought: ReplyParser, inside: ReplyParser, behind: ReplyParser) -> None:
        """`inside` reads the thought, and `behind` the answer."""
        self._thought = thought
        self._inside = inside
        self._behind = behind
        self._held = ""
        """The part of the thought that `inside` has not returned as text."""
        self._calls: list[OutputPart] = []
        self._closed = False

    @property
    def over(self) -> bool:
        return self._closed and self._behind.over

    def feed(self, text: str) -> list[OutputPart]:
        return self._through(self._thought.feed(text))

    def finish(self) -> list[OutputPart]:
        out = self._through(self._thought.finish())
        if self._closed:
            return out + self._behind.finish()
        out += self._in_thought(self._inside.finish())
        return [*out, *self._calls]

    def _through(self, parts: Sequence[OutputPart]) -> list[OutputPart]:
        out: list[OutputPart] = []
        for part in parts:
            if isinstance(part, Reasoning):
                self._held += part.text
                out += self._in_thought(self._inside.feed(part.text))
            elif isinstance(part, Content):
                if not self._closed:
                    self._closed = True
                    out.append(Reasoning(self._held))
                out += self._behind.feed(part.text)
        return out

    def _in_thought(self, parts: Sequence[OutputPart]) -> list[OutputPart]:
        out: list[OutputPart] = []
        for part in parts:
            if self._calls or not isinstance(part, Content):
                self._calls.append(Reasoning(part.text) if isinstance(part, Content) else part)
            else:
                out.append(Reasoning(part.text))
                self._held = self._held[len(part.text) :]
        return out


class ResumedParser:
    """A parser that first reads the beginning of a reply, which was sent already.

    What looked like the beginning of markup at its end is held back by the parser, but was sent in
    the end: it is not sent again.
    """

    def __init__(self, parser: ReplyParser, written: str, sent: str) -> None:
        """`written`: the beginning as the model wrote it; `sent`: its last part as it was sent."""
        self._parser = parser
        parts = [part for part in parser.feed(written) if isinstance(part, Content | Reasoning)]
        known = parts[-1].text if parts and sent.startswith(parts[-1].text) else ""
        self._held = sent[len(known) :]

    @property
    def over(self) -> bool:
        return self._parser.over

    def feed(self, text: str) -> list[OutputPart]:
        return self._unsent(self._parser.feed(text))

    def finish(self) -> list[OutputPart]:
        return self._unsent(self._parser.finish())

    def _unsent(self, parts: list[OutputPart]) -> list[OutputPart]:
        out: list[OutputPart] = []
        for part in parts:
            if isinstance(part, Content | Reasoning):
                text, held = part.text, self._held
                # What goes on otherwise was markup after all.
                self._held = held[len(text) :] if held.startswith(text) else ""
                new = "" if held.startswith(text) else text.removeprefix(held)
                out.append(type(part)(new))
            else:
                out.append(part)
        return merge_parts(out)


class PlainParser:
    """For models without markup: all text is content."""

    over = False

    def feed(self, text: str) -> list[OutputPart]:
        return [Content(text)] if text else []

    def finish(self) -> list[OutputPart]:
        return []


def new_call_id() -> str:
    """An id that no other call has."""
    return f"call_{secrets.token_hex(12)}"


def merge_parts(parts: Sequence[OutputPart]) -> list[OutputPart]:
    """The same parts with neighbours of one kind merged, and empty ones left out."""
    out: list[OutputPart] = []
    for part in parts:
        last = out[-1] if out else None
        if isinstance(part, Content | Reasoning):
            if not part.text:
                continue
            if isinstance(last, type(part)):
                out[-1] = type(part)(last.text + part.text)
                continue
        elif isinstance(part, ToolCallArguments):
            if not part.delta:
                continue
            if isinstance(last, ToolCallArguments) and last.index == part.index:
                out[-1] = ToolCallArguments(part.index, last.delta + part.delta)
                continue
        out.append(part)
    return out


def possible_start(text: str, mark: str) -> int:
    """Length of the longest end of `text` with which `mark` begins, `mark` as a whole left out."""
    for size in range(min(len(text), len(mark) - 1), 0, -1):
        if mark.startswith(text[-size:]):
            return size
    return 0
