"""Forced calls in the format of a model's template: anything the grammar permits is parsed as a
call that conforms to the tool's schema."""

import json
import random
from typing import Any

import jsonschema_rs
import pytest
from llguidance import LLMatcher, LLTokenizer

from appliance.worker.constraints import check, json_schema, marked
from appliance.worker.parsers.forced import FORCED, ForcedCall
from appliance.worker.parsers.syntax import ArgumentStyle
from tests.worker.parsers.replies import as_message, read
from tests.worker.parsers.test_templates import SHOWING, TOOLS, style

BYTES = LLTokenizer("byte")
FREE = 120
"""This many permitted next bytes mean free text."""
MOST = 4000
"""Bytes of a reply."""


def matcher(schema: dict[str, Any] | list[dict[str, Any]]) -> LLMatcher:
    if isinstance(schema, list):
        lark = marked.to_lark(schema, lambda text: [text] if text else [])
        return check.matcher(BYTES, LLMatcher.grammar_from_lark(lark))
    prepared = json_schema.prepared(json.dumps(schema))
    return check.matcher(
        BYTES, LLMatcher.grammar_from_json_schema(prepared, overrides=json_schema.COMPACT)
    )


def written(forced: ForcedCall, chance: random.Random) -> str:
    """A reply of random bytes that the grammar permits."""
    text = walked(forced, chance)
    assert text is not None
    return text


def walked(forced: ForcedCall, chance: random.Random) -> str | None:
    """The same; None: it comes to no end."""
    found = matcher(forced.schema)
    syntax = forced.syntax
    ends = [b'"', *([] if syntax else [b"<|end|>"])]
    if syntax and syntax.style is ArgumentStyle.TAGGED:
        ends = [f"{syntax.padding[1]}{syntax.argument[3]}".encode()]
        ends = [end.replace(b"\0", key) for end in ends for key in (b"text", b"other")]
    out = bytearray()
    while not found.is_stopped() and len(out) < MOST:
        if found.is_accepting() and chance.random() < 0.5:
            break
        mask = found.compute_bitmask()
        allowed = [n for n in range(256) if mask[n // 8] >> n % 8 & 1]
        letters = [n for n in allowed if 97 <= n < 123] if out else []
        letters = letters or allowed
        if len(allowed) > FREE and chance.random() < 0.2:
            for end in ends:
                if found.try_consume_tokens(list(end)) == len(end):
                    out += end
                    break
            continue
        quick = [n for n in allowed if n in b'"}]>']
        byte = chance.choice(quick if quick and chance.random() < 0.4 else letters)
        assert found.consume_token(byte)
        out.append(byte)
    return out.decode() if found.is_accepting() or found.is_stopped() else None


@pytest.mark.parametrize("name", SHOWING)
def test_a_forced_call_conforms(name: str) -> None:
    format = style(name)
    for seed in range(4):
        chance = random.Random(seed)
        choice: Any = (
            "required" if seed % 2 else {"type": "function", "function": {"name": "set-time"}}
        )
        forced = format.forced(TOOLS, choice, "")
        assert forced
        text = written(forced, chance)
        for parts in ([text], list(text)):
            found = as_message(read(format.parser("", TOOLS, forced), parts))
            assert (found["content"], found["reasoning"]) == ("", "")
            ((called, arguments),) = found["calls"]
            (tool,) = [each for each in TOOLS if each["function"]["name"] == called]
            assert seed % 2 or called == "set-time"
            assert jsonschema_rs.is_valid(tool["function"]["parameters"], json.loads(arguments))


ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["cat", "<tool_call>", "[TOOL_CALLS]"]},
        "text": {"type": "string", "maxLength": 20},
    },
    "required": ["kind", "text"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("name", SHOWING)
def test_an_answer_or_a_call_conforms(name: str) -> None:
    format = style(name)
    seen = set()
    for seed in range(20):
        either = format.answer_or_call(ANSWER, TOOLS, "")
        assert either
        text = walked(ForcedCall("", either[0], format.calls), random.Random(seed))
        if text is None:
            continue
        for parts in ([text], list(text)):
            read_by = format.answer_or_call(ANSWER, TOOLS, "")
            assert read_by
            found = as_message(read(read_by[1], parts))
            if found["calls"]:
                ((called, arguments),) = found["calls"]
                (tool,) = [each for each in TOOLS if each["function"]["name"] == called]
                assert jsonschema_rs.is_valid(tool["function"]["parameters"], json.loads(arguments))
                assert found["content"] == ""
            else:
                assert jsonschema_rs.is_valid(ANSWER, json.loads(found["content"])), text
        seen.add(bool(found["calls"]))
        if len(seen) == 2:
            return
    raise AssertionError(f"only one of the two was written: calls {seen}")


def test_most_are_forced_in_their_own_format() -> None:
    own = []
    for name in SHOWING:
        forced = style(name).forced(TOOLS, "required", "")
        assert forced
        if forced.syntax not in (None, FORCED):
            own.append(name)
    assert len(own) >= 53, set(SHOWING) - set(own)


def test_a_forced_call_that_is_cut_is_no_text() -> None:
    for name in SHOWING:
        forced = style(name).forced(TOOLS, "required", "")
        assert forced
        text = written(forced, random.Random(1))
        for cut in range(0, len(text), 7):
            found = as_message(read(style(name).parser("", TOOLS, forced), [text[:cut]]))
            assert found["content"] == ""
