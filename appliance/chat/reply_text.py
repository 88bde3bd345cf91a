"""What a reply has said so far, by place: who comes back at a place hears what follows it.

A place is a number of characters, of reasoning and text together in the order in which they came.
"""

from bisect import bisect_right

import msgspec


class TextAdded(msgspec.Struct, frozen=True, omit_defaults=True):
    """More of the reply, of its text or of its reasoning; `offset` is the place after it."""

    offset: int
    text: str = ""
    reasoning: str = ""


class Spoken:
    """One reply's words. Not thread-safe."""

    def __init__(self, text: str = "", reasoning: str = "") -> None:
        """What was said before."""
        self._pieces: list[TextAdded] = []
        self._ends: list[int] = []
        self.add(reasoning=reasoning)
        self.add(text=text)
        self.began = self.end
        """The place where it went on."""

    @property
    def end(self) -> int:
        """The place after the last word."""
        return self._ends[-1] if self._ends else 0

    def add(self, *, text: str = "", reasoning: str = "") -> None:
        """More of one kind."""
        if text or reasoning:
            self._append(TextAdded(self.end + len(text) + len(reasoning), text, reasoning))

    def after(self, place: int) -> list[TextAdded]:
        """What follows a place, in the pieces in which it came or larger ones."""
        first = bisect_right(self._ends, place)
        out = self._pieces[first:]
        if out:
            known = max(0, len(out[0].text) + len(out[0].reasoning) - (out[0].offset - place))
            out[0] = TextAdded(out[0].offset, out[0].text[known:], out[0].reasoning[known:])
        return out

    def whole(self) -> tuple[str, str]:
        """Text and reasoning."""
        self._join()
        return (
            "".join(piece.text for piece in self._pieces),
            "".join(piece.reasoning for piece in self._pieces),
        )

    def _append(self, piece: TextAdded) -> None:
        self._pieces.append(piece)
        self._ends.append(piece.offset)

    def _join(self) -> None:
        """Makes neighbours of one kind one piece, so that what was said long ago costs nothing."""
        pieces, self._pieces, self._ends = self._pieces, [], []
        run: list[TextAdded] = []
        for piece in pieces:
            if run and bool(run[-1].text) != bool(piece.text):
                self._append(_joined(run))
                run = []
            run.append(piece)
        if run:
            self._append(_joined(run))


def _joined(run: list[TextAdded]) -> TextAdded:
    text = "".join(piece.text for piece in run)
    return TextAdded(run[-1].offset, text, "".join(piece.reasoning for piece in run))
