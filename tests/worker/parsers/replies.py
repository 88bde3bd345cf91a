"""Helpers that parse replies."""

import re
from typing import Any

from appliance.worker.parsers.base import (
    Content,
    OutputPart,
    Reasoning,
    ReplyParser,
    ToolCallArguments,
    ToolCallBegan,
    merge_parts,
)
from appliance.worker.parsers.detect import OutputFormat, detect
from appliance.worker.parsers.known import HERMES, LLAMA, MISTRAL, MISTRAL_NAMED

THINK = detect("… </think> …").tags
HARMONY = OutputFormat(harmony=True)
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("weather", "time")]
KNOWN = {
    "hermes": HERMES,
    "llama": LLAMA,
    "mistral": MISTRAL,
    "mistral-named": MISTRAL_NAMED,
}


def style(format: str | None, *, think: bool = False) -> OutputFormat:
    calls = KNOWN.get(format or "")
    return OutputFormat(calls, THINK if think else None, harmony=format == "harmony")


def parser(format: str | None, *, think: bool = False, prompt: str = "") -> ReplyParser:
    return style(format, think=think).parser(prompt, TOOLS)


def read(parser: ReplyParser, parts: list[str]) -> list[OutputPart]:
    """The parsed pieces of a reply received in `parts`, adjacent ones joined, ids normalized."""
    out: list[OutputPart] = []
    for part in parts:
        out += parser.feed(part)
    out += parser.finish()
    ids = [piece.id for piece in out if isinstance(piece, ToolCallBegan)]
    assert all(re.fullmatch(r"call_[0-9a-f]{24}", id) for id in ids)
    assert len(set(ids)) == len(ids)
    return merge_parts(
        [
            ToolCallBegan(piece.index, "", piece.name)
            if isinstance(piece, ToolCallBegan)
            else piece
            for piece in out
        ]
    )


def as_message(pieces: list[OutputPart]) -> dict[str, Any]:
    """The message that a client assembles from the pieces."""
    calls: list[list[str]] = []
    for piece in pieces:
        if isinstance(piece, ToolCallBegan):
            assert piece.index == len(calls)
            calls.append([piece.name, ""])
        elif isinstance(piece, ToolCallArguments):
            calls[piece.index][1] += piece.delta
    return {
        "content": "".join(piece.text for piece in pieces if isinstance(piece, Content)),
        "reasoning": "".join(piece.text for piece in pieces if isinstance(piece, Reasoning)),
        "calls": [tuple(call) for call in calls],
    }
