"""Replies read by the parsers, for tests."""

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
from appliance.worker.parsers.tool_calls import ToolFormat

THINK = detect("… </think> …").tags


def parser(format: ToolFormat | None, *, think: bool = False, prompt: str = "") -> ReplyParser:
    return OutputFormat(format, THINK if think else None).parser(prompt, ["weather", "time"])


def read(parser: ReplyParser, parts: list[str]) -> list[OutputPart]:
    """The pieces of a reply that came in `parts`, neighbours joined, ids alike."""
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


def told(pieces: list[OutputPart]) -> dict[str, Any]:
    """What a client makes of the pieces."""
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
