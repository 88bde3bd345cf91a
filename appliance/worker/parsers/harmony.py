"""gpt-oss's replies: messages in channels, each with a header. Pure Python.

    <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>

`analysis` is reasoning, `final` the answer, and `commentary` an answer too unless its header
addresses a function, as in `to=functions.NAME`: then the message is that call's arguments.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any, Literal

from appliance.worker.parsers.base import (
    Content,
    OutputPart,
    PromptSegment,
    Reasoning,
    ToolCallArguments,
    ToolCallBegan,
    merge_parts,
    new_call_id,
    possible_start,
)
from appliance.worker.parsers.call_grammar import Node

START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
_ENDS = ("<|end|>", "<|call|>", "<|return|>", START)
MARKS = frozenset({CHANNEL, MESSAGE, "<|constrain|>", *_ENDS})
_OPENINGS = (CHANNEL, START, "to=")
_RECIPIENT = re.compile(r"to=(?:functions\.)?([\w.-]+)")
_LONGEST_HEADER = 512
"""Characters; what goes on for longer is no header."""


def prefill_segments(thought: str, answer: str) -> list[PromptSegment]:
    """The beginning of a reply as the model writes it; without an answer the thought goes on."""
    out: list[PromptSegment] = []
    if thought:
        out += [(f"{CHANNEL}analysis{MESSAGE}", True), (thought, False)]
    if thought and answer:
        out += [(f"<|end|>{START}assistant", True)]
    if answer:
        out += [(f"{CHANNEL}final{MESSAGE}", True), (answer, False)]
    return out


def grammar(answer: Any, calls: Sequence[tuple[str, Any]]) -> list[Node]:
    """Of a thought, if any, and an answer that keeps to a schema, or one of the calls, given as
    name and schema of the arguments."""
    ways = [[{"mark": f"{CHANNEL}final{MESSAGE}"}, {"json": answer}]]
    ways += [[{"mark": call_header(name)}, {"rendered": each}] for name, each in calls]
    thought = [{"mark": f"{CHANNEL}analysis{MESSAGE}"}, {"text": "<|end|>"}]
    return [
        {"maybe": [*thought, {"mark": f"{START}assistant"}]},
        {"any": ways},
    ]


def call_header(name: str) -> str:
    """What a model writes before the arguments of a call."""
    return f"{CHANNEL}commentary to=functions.{name} <|constrain|>json{MESSAGE}"


class HarmonyParser:
    """Splits one reply. Implements `ReplyParser`."""

    over = False

    def __init__(self, names: Collection[str]) -> None:
        """`names`: the functions that were offered; a message to another one is content."""
        self._names = frozenset(names)
        self._buffer = ""
        self._state: Literal["header", "message"] = "header"
        self._channel: Literal["answer", "thought", "call"] = "answer"
        self._n_calls = 0

    def feed(self, text: str) -> list[OutputPart]:
        self._buffer += text
        out: list[OutputPart] = []
        while self._header(out) if self._state == "header" else self._message(out):
            pass
        return merge_parts(out)

    def finish(self) -> list[OutputPart]:
        rest, self._buffer = self._buffer, ""
        if self._state == "header" and rest.lstrip().startswith(_OPENINGS):
            return []
        return merge_parts([self._part(rest)]) if rest.strip() else []

    def _header(self, out: list[OutputPart]) -> bool:
        text = self._buffer.lstrip()
        may_open = text.startswith(_OPENINGS) or any(o.startswith(text) for o in _OPENINGS)
        end = text.find(MESSAGE)
        if may_open and 0 <= end <= _LONGEST_HEADER:
            self._buffer = text[end + len(MESSAGE) :]
            self._open(out, text[:end])
        elif may_open and len(text) < _LONGEST_HEADER + len(MESSAGE):
            return False
        else:
            self._channel = "answer"
            if self._buffer.startswith(START):  # no header follows, and it must not be tried again
                out.append(self._part(START))
                self._buffer = self._buffer[len(START) :]
        self._state = "message"
        return True

    def _open(self, out: list[OutputPart], header: str) -> None:
        recipient = _RECIPIENT.search(header)
        if recipient and recipient.group(1) in self._names:
            self._channel = "call"
            out.append(ToolCallBegan(self._n_calls, new_call_id(), recipient.group(1)))
            self._n_calls += 1
        else:
            self._channel = "thought" if "analysis" in header else "answer"

    def _message(self, out: list[OutputPart]) -> bool:
        text = self._buffer
        found = [(at, mark) for mark in _ENDS if (at := text.find(mark)) >= 0]
        if not found:
            keep = max(possible_start(text, mark) for mark in _ENDS)
            self._buffer = text[len(text) - keep :]
            out.append(self._part(text[: len(text) - keep]))
            return False
        at, mark = min(found)
        out.append(self._part(text[:at]))
        self._buffer = text[at + (0 if mark == START else len(mark)) :]
        self._state = "header"
        return True

    def _part(self, text: str) -> OutputPart:
        if self._channel == "call":
            return ToolCallArguments(self._n_calls - 1, text)
        return Reasoning(text) if self._channel == "thought" else Content(text)
