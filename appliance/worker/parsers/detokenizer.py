"""Text out of tokens: whole characters only, and never a part of a stop text. Pure Python."""

import codecs


class Detokenizer:
    """Turns a sequence's bytes into text that may be shown at once.

    Bytes that do not yet make a character are held back, and so is text that could still become a
    stop text. What comes out, joined, is the whole text cut where the first stop text was complete,
    however the bytes were split.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self.stop_text: str | None = None
        """The stop text that was met; nothing more comes out."""

    @property
    def stopped(self) -> bool:
        """A stop text was met."""
        return self.stop_text is not None

    def feed(self, data: bytes) -> str:
        """Take the bytes of one token; return the text that is certain now, often empty."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(data)
        if not self._stop:
            return text
        met = self._first_stop(text)
        if met is not None:
            cut, self.stop_text = met
            self._held = ""
            return text[:cut]
        keep = self._possible_stop(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """End of the sequence: what was held back. Bytes of an unfinished character are dropped."""
        text, self._held = self._held, ""
        return text

    def _first_stop(self, text: str) -> tuple[int, str] | None:
        """Where the stop text begins that is complete first, and which; of several, the longest."""
        found = [(at + len(stop), at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        return min(found)[1:] if found else None

    def _possible_stop(self, text: str) -> int:
        """Length of the longest end of `text` with which a stop text begins."""
        longest = min(len(text), max(map(len, self._stop)) - 1)
        for size in range(longest, 0, -1):
            tail = text[-size:]
            if any(stop.startswith(tail) for stop in self._stop):
                return size
        return 0
