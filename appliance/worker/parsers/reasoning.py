"""What a model thinks before it answers, separated from the answer while it is written.

Models such as DeepSeek-R1, Qwen3 and SmolLM3 begin a reply with `<think>…</think>`; some templates
end the prompt with `<think>` themselves, and the reply starts inside. Pure Python.
"""

from typing import Literal

import msgspec

from appliance.worker.parsers.base import (
    Content,
    OutputPart,
    PromptSegment,
    Reasoning,
    merge_parts,
    possible_start,
)


class Tags(msgspec.Struct, frozen=True):
    """The texts around a thought."""

    opening: str
    closing: str


KNOWN = (Tags("<think>", "</think>"), Tags("[THINK]", "[/THINK]"))


def detect(template: str) -> Tags | None:
    """The tags that a model thinks between, going by its chat template; None: it doesn't."""
    return next((tags for tags in KNOWN if tags.closing in template), None)


def opened_by(prompt: str, tags: Tags) -> bool:
    """Whether a prompt ends with an opening tag, so that the reply starts inside the thought."""
    return prompt.rstrip().endswith(tags.opening)


def prefill_segments(tags: Tags, thought: str, answer: str, *, opened: bool) -> list[PromptSegment]:
    """The beginning of a reply as the model writes it; without an answer the thought goes on.

    `opened`: the prompt ends with the opening tag.
    """
    if not (thought or opened):
        return [(answer, False)]
    return [
        ("" if opened else f"{tags.opening}\n", True),
        (thought, False),
        (f"\n{tags.closing}\n\n" if answer else "", True),
        (answer, False),
    ]


class ReasoningParser:
    """Splits one reply. Implements `ReplyParser`.

    A thought stands at the beginning of a reply or nowhere: later tags are what the answer is
    about, but for a closing one that none opened. White space at the tags belongs to them. A
    thought that is never closed is all there is.
    """

    over = False

    def __init__(self, tags: Tags, *, opened: bool) -> None:
        """`opened`: the prompt ended with the opening tag; the model may repeat it."""
        self._tags = tags
        self._opened = opened
        self._buffer = ""
        self._state: Literal["start", "before", "inside", "behind", "answer", "done"] = "start"

    def feed(self, text: str) -> list[OutputPart]:
        self._buffer += text
        out: list[OutputPart] = []
        if self._state == "start":
            self._start()
        if self._state == "before":
            self._skip_space("inside")
        if self._state == "inside":
            out.append(Reasoning(self._inside()))
        if self._state == "behind":
            self._skip_space("done")
        if self._state == "answer":
            out.append(Content(self._answer()))
        if self._state == "done":
            out.append(Content(self._buffer))
            self._buffer = ""
        return merge_parts(out)

    def _answer(self) -> str:
        """The part of the answer that is certain. A closing tag without an opening is left out:
        the model was not to think, or did so without saying."""
        text, closing = self._buffer, self._tags.closing
        end = text.find(closing)
        opening = text.find(self._tags.opening)
        if opening >= 0 and not 0 <= end < opening:
            self._state = "done"
            return ""
        if end >= 0:
            rest = text[end + len(closing) :].lstrip()
            if not rest:
                self._buffer = text[end:]
                return text[:end]
            self._buffer = rest
            self._state = "done"
            return text[:end]
        keep = max(possible_start(text, mark) for mark in (closing, self._tags.opening))
        self._buffer = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> list[OutputPart]:
        rest, self._buffer = self._buffer, ""
        if self._state == "inside" or (self._state == "start" and self._opened):
            return merge_parts(
                [Reasoning(rest.strip() if self._state == "start" else rest.rstrip())]
            )
        if self._state == "answer" and rest.startswith(self._tags.closing):
            rest = ""
        return merge_parts([Content(rest)])

    def _start(self) -> None:
        begun = self._buffer.lstrip()
        opening = self._tags.opening
        if begun.startswith(opening):
            self._buffer = begun[len(opening) :]
            self._state = "before"
        elif not opening.startswith(begun):
            self._state = "before" if self._opened else "answer"

    def _skip_space(self, then: Literal["inside", "done"]) -> None:
        self._buffer = self._buffer.lstrip()
        if self._buffer:
            self._state = then

    def _inside(self) -> str:
        """The part of the thought that is certain; moves on when it is closed."""
        text, closing = self._buffer, self._tags.closing
        end = text.find(closing)
        if end >= 0:
            self._buffer = text[end + len(closing) :]
            self._state = "behind"
            return text[:end].rstrip()
        certain = text[: len(text) - possible_start(text, closing)].rstrip()
        self._buffer = text[len(certain) :]
        return certain
