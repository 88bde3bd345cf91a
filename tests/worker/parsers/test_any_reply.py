"""Any reply, split in any way, is parsed into the same parts, and no text is lost."""

import functools
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from appliance.worker.parsers.base import OutputPart
from appliance.worker.parsers.syntax import CallSyntax
from tests.worker.parsers.replies import as_message, read
from tests.worker.parsers.test_templates import TOOLS, style

FAMILIES = [
    "Apertus-8B-Instruct",
    "GLM-4.6",
    "Kimi-K3",
    "LFM2.5-8B-A1B",
    "MiniMax-M3",
    "Mistral-Small-3.2-24B-Instruct-2506",
    "Qwen3-Coder",
    "Qwen3.5-4B",
    "deepseek-ai-DeepSeek-V3.2",
    "google-gemma-4-31B-it",
    "ibm-granite-granite-3.3-2B-Instruct",
    "meetkai-functionary-medium-v3.2",
    "meta-llama-Llama-3.1-8B-Instruct",
    "moonshotai-Kimi-K2",
    "muse-glimmer",
    "upstage-Solar-Open-100B",
]
USUAL = ["get_weather", "set-time", "text", "number", "{", "}", "[", "]", '"', "'", ",", ":", "="]
USUAL += ["(", ")", "<", ">", "/", "1", "true", "a", " ", "\n", "\\", "é", '{"text": "a"}', "</"]


@functools.cache
def pieces(name: str) -> list[str]:
    """The tokens that this family's replies are made of."""
    format = style(f"{name}.jinja")
    calls = format.calls
    assert isinstance(calls, CallSyntax)
    marks = {*calls.section, *calls.call, calls.after_name, calls.separator, *calls.argument}
    marks |= {calls.quote, *format.dropped}
    if format.tags:
        marks |= {format.tags.opening, format.tags.closing}
    return sorted(mark.replace("\0", "0") for mark in marks if mark) + USUAL


@pytest.mark.parametrize("name", FAMILIES)
@given(data=st.data())
def test_no_split_changes_the_parsed_reply(name: str, data: st.DataObject) -> None:
    text = "".join(data.draw(st.lists(st.sampled_from(pieces(name)), max_size=24)))
    prompt = data.draw(st.sampled_from(["", *style(f"{name}.jinja").preserved_tokens]))
    borders = data.draw(st.lists(st.integers(0, 1000), max_size=6))

    def run(parts: list[str]) -> list[OutputPart]:
        return read(style(f"{name}.jinja").parser(prompt, TOOLS), parts)

    whole = run([text])
    at = sorted({0, len(text), *(border % (len(text) + 1) for border in borders)})
    assert run([text[a:b] for a, b in itertools.pairwise(at)]) == whole
    assert run(list(text)) == whole
    found = as_message(whole)
    if not found["calls"]:
        # Only white space and markers are dropped.
        shown = f"{found['reasoning']} {found['content']}"
        assert not set(re.findall(r"\w", text)) - set(
            re.findall(r"\w", shown + "".join(pieces(name)))
        )


@pytest.mark.parametrize("name", FAMILIES)
@given(data=st.data())
def test_what_is_no_call_comes_out_unchanged(name: str, data: st.DataObject) -> None:
    text = "".join(data.draw(st.lists(st.sampled_from(pieces(name)), max_size=12)))
    plain = replace(style(f"{name}.jinja"), tags=None, dropped=())
    found = as_message(read(plain.parser("", TOOLS), list(text)))
    assert found["calls"] or found["content"] == text
