"""The text of a reply so far, by offset: a client that reconnects at an offset gets what follows.

An offset counts characters, of reasoning and text together in the order in which they came.
"""

from bisect import bisect_right

import msgspec


class TextDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """More of the reply, of its text or of its reasoning; `offset` is that after it."""

    offset: int
    text: str = ""
    reasoning: str = ""


class ReplyText:
    """One reply's text and reasoning. Not thread-safe."""

    def __init__(self, text: str = "", reasoning: str = "") -> None:
        """What there is of it already, if it is continued."""
        self._pieces: list[TextDelta] = []
        self._ends: list[int] = []
        self.add(reasoning=reasoning)
        self.add(text=text)
        self.began = self.end
        """The offset from which it was continued."""

    @property
    def end(self) -> int:
        """The offset after all there is."""
        return self._ends[-1] if self._ends else 0

    def add(self, *, text: str = "", reasoning: str = "") -> None:
        """More of one kind."""
        if text or reasoning:
            self._append(TextDelta(self.end + len(text) + len(reasoning), text, reasoning))

    def after(self, offset: int) -> list[TextDelta]:
        """What follows an offset, in the pieces in which it came or larger ones."""
        first = bisect_right(self._ends, offset)
        out = self._pieces[first:]
        if out:
            known = max(0, len(out[0].text) + len(out[0].reasoning) - (out[0].offset - offset))
            out[0] = TextDelta(out[0].offset, out[0].text[known:], out[0].reasoning[known:])
        return out

    def whole(self) -> tuple[str, str]:
        """Text and reasoning."""
        self._join()
        return (
            "".join(piece.text for piece in self._pieces),
            "".join(piece.reasoning for piece in self._pieces),
        )

    def _append(self, piece: TextDelta) -> None:
        self._pieces.append(piece)
        self._ends.append(piece.offset)

    def _join(self) -> None:
        """Makes neighbours of one kind one piece, so that old text costs nothing."""
        pieces, self._pieces, self._ends = self._pieces, [], []
        run: list[TextDelta] = []
        for piece in pieces:
            if run and bool(run[-1].text) != bool(piece.text):
                self._append(_joined(run))
                run = []
            run.append(piece)
        if run:
            self._append(_joined(run))


def _joined(run: list[TextDelta]) -> TextDelta:
    text = "".join(piece.text for piece in run)
    return TextDelta(run[-1].offset, text, "".join(piece.reasoning for piece in run))
