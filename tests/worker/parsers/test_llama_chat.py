"""llama.cpp's own cases of replies with calls, in some fifty formats, give the same results."""

import json
from typing import Any

import pytest

from tests.worker.parsers.chat_cases import ChatCase, chat_cases
from tests.worker.parsers.replies import as_message, read
from tests.worker.parsers.test_templates import rendered, style

CASES = [
    case
    for case in chat_cases()
    if case.calls and case.template and case.options.get("is_partial") != "true"
]
OTHERWISE = {
    ("Qwen3.5-4B.jinja", "<think>\n\n</think>\n\n<tool"): "a repeated tag is left out here",
    ("MiniMax-M3.jinja", "<label>]<]minimax[>[<text>hi"): "elements in text are read as an object",
    ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja", "<tool_call>\n{"): "another family's format",
    (
        "Apriel-1.6-15b-Thinker-fixed.jinja",
        "I'm\nthinking\n[BEGIN",
    ): "no prompt line given",
}
"""Cases with a different result here: template, part of the reply, and reason."""


def arguments(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def come_out(case: ChatCase, parts: list[str]) -> dict[str, Any]:
    think = case.options.get("enable_thinking", "true") == "true"
    variables = {"enable_thinking": think, "thinking": think}
    asked = [{"role": "user", "content": "Hey there!"}]
    prompt = rendered(case.template, asked, case.tools or None, variables)
    found = as_message(read(style(case.template).parser(prompt, case.tools), parts))
    return {
        "content": found["content"].strip(),
        "reasoning": found["reasoning"].strip(),
        "calls": [(name, arguments(text)) for name, text in found["calls"]],
    }


def as_expected(case: ChatCase, found: dict[str, Any]) -> bool:
    if found["calls"] != [(name, arguments(text)) for name, text in case.calls]:
        return False
    if case.options.get("reasoning_format", "NONE").endswith("NONE"):
        return True  # there, thoughts are left in the text
    return bool(
        found["content"] == case.content.strip() and found["reasoning"] == case.reasoning.strip()
    )


def test_there_are_as_many_cases_as_there_were() -> None:
    assert len(CASES) >= 214


@pytest.mark.parametrize("template", sorted({case.template for case in CASES}))
def test_calls_come_out_as_in_llama_cpp(template: str) -> None:
    for case in CASES:
        if case.template != template:
            continue
        whole = come_out(case, [case.text])
        known = [k for k in OTHERWISE if k[0] == template and k[1] in case.text]
        assert as_expected(case, whole) is not bool(known), (case, whole)
        assert come_out(case, list(case.text)) == whole
