"""Separating thoughts from answers, and detecting a model's format from its template."""

import pytest

from appliance.worker.parsers.base import Content, Reasoning
from appliance.worker.parsers.detect import detect
from appliance.worker.parsers.known import HERMES, LLAMA, MISTRAL, MISTRAL_NAMED
from appliance.worker.parsers.syntax import CallSyntax
from tests.worker.parsers.replies import as_message, parser, read

THOUGHTS = [
    ("", "<think>\nHm.\n</think>\n\nYes.", "Hm.", "Yes."),
    ("", "\n<think></think>Yes </think>.", "", "Yes </think>."),
    ("", "<think>a < b </thin </think> c", "a < b </thin", "c"),
    ("", "<think>Hm, and no en", "Hm, and no en", ""),
    ("", "<think>Hm </thi", "Hm </thi", ""),
    ("", " What is <think>?</think>", "", " What is <think>?</think>"),
    ("", "<thi", "", "<thi"),
    ("<think>\n", "Hm.\n</think>\nYes.", "Hm.", "Yes."),
    ("<think>\n", "<think>\nHm.</think>Yes.", "Hm.", "Yes."),
    ("<think>", "never closed\n", "never closed", ""),
    ("<think>", "<thi", "<thi", ""),
    ("<think>\n\n</think>\n\n", "Yes.", "", "Yes."),
    # A closing tag without an opening one.
    ("", "</think>Yes.", "", "Yes."),
    ("", "Hm.</think>\n\nYes.", "", "Hm.Yes."),
    ("", "Hm.\n</think>", "", "Hm.\n"),
    ("", "Yes. </thi", "", "Yes. </thi"),
    ("<think>\n\n</think>\n\n", "\n</think>\n\nYes.", "", "\nYes."),
]


@pytest.mark.parametrize(("prompt", "text", "reasoning", "content"), THOUGHTS)
def test_thoughts_are_recognized_at_any_split(
    prompt: str, text: str, reasoning: str, content: str
) -> None:
    for parts in [[text], list(text), *([text[:n], text[n:]] for n in range(len(text)))]:
        pieces = read(parser(None, think=True, prompt=prompt), parts)
        assert as_message(pieces) == {"content": content, "reasoning": reasoning, "calls": []}


def test_a_thought_may_speak_of_calls_and_precede_one() -> None:
    text = '<think>I could <tool_call></think>\n{"name": "time", "parameters": {}}'
    expected = {"content": "", "reasoning": "I could <tool_call>", "calls": [("time", "{}")]}
    assert as_message(read(parser("llama", think=True), list(text))) == expected


def test_harmony_thinks_in_a_channel() -> None:
    text = (
        "<|channel|>analysis<|message|>Hm < 3.<|end|><|start|>assistant"
        "<|channel|>final<|message|>Yes."
    )
    for parts in ([text], list(text)):
        assert read(parser("harmony"), parts) == [Reasoning("Hm < 3."), Content("Yes.")]


TEMPLATES = [
    (
        "{{ tools }} <tool_call>\n{\"name\": </tool_call> message.content.split('</think>')",
        HERMES,
        True,
    ),
    ("{% for t in tools %}…<tool_call><function=x>", None, False),
    (
        '{{ tools }} ipython {{ \'{"name": "\' + name + \'", "parameters": \' }}',
        LLAMA,
        False,
    ),
    ("{{ tools }}[TOOL_CALLS] [", MISTRAL, False),
    ("{{ tools }}[TOOL_CALLS]name[ARGS] [THINK][/THINK]", MISTRAL_NAMED, True),
    ("<|start|>assistant<|channel|>final<|message|>", None, True),
    ("{% for m in messages %}{{ m.content }}{% endfor %}", None, False),
    (None, None, False),
]


@pytest.mark.parametrize(("template", "tools", "thinks"), TEMPLATES)
def test_a_template_shows_how_its_model_writes(
    template: str | None, tools: CallSyntax | None, thinks: bool
) -> None:
    style = detect(template)
    assert style.calls is tools
    assert style.thinks is thinks
    assert bool(style.preserved_tokens) is bool(tools or thinks)
