"""Reasoning effort, as the variables that real models' templates use."""

from typing import Any

import pytest

from appliance.errors import RequestError
from appliance.worker.chat_template.reasoning_effort import variables

GPT_OSS = (
    '{%- if reasoning_effort is not defined %}{%- set reasoning_effort = "medium" %}{%- endif %}'
    '{{- "Reasoning: " + reasoning_effort + "\\n\\n" }}'
)
QWEN3 = (
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
)
MISTRAL = "{%- if reasoning_effort not in ['none', 'high'] %}{{ raise_exception('no') }}{% endif %}"
R1 = "{{ '<｜Assistant｜><think>\\n' }}{{ '</think>' }}"
PLAIN = "{{ messages }}"


@pytest.mark.parametrize(
    ("template", "thinks", "effort", "expected"),
    [
        (GPT_OSS, True, "low", {"reasoning_effort": "low"}),
        (GPT_OSS, True, "high", {"reasoning_effort": "high"}),
        (QWEN3, True, "none", {"enable_thinking": False}),
        (QWEN3, True, "minimal", {"enable_thinking": True}),
        (QWEN3, True, "high", {"enable_thinking": True}),
        (MISTRAL, False, "none", {"reasoning_effort": "none"}),
        (GPT_OSS + QWEN3, True, "low", {"reasoning_effort": "low", "enable_thinking": True}),
        (GPT_OSS + QWEN3, True, "none", {"enable_thinking": False}),
        (PLAIN, False, "none", {}),
        (None, False, "none", {}),
    ],
)
def test_a_template_gets_the_effort_under_its_own_variable(
    template: str | None, thinks: bool, effort: str, expected: dict[str, Any]
) -> None:
    assert variables(template, effort, thinks=thinks) == expected
    assert variables(template, None, thinks=thinks) == {}


@pytest.mark.parametrize(
    ("template", "thinks", "effort"),
    [
        (GPT_OSS, True, "none"),
        (GPT_OSS, True, "xhigh"),
        (R1, True, "none"),
        (R1, True, "low"),
        (PLAIN, False, "low"),
        (None, False, "high"),
    ],
)
def test_an_effort_that_the_model_cannot_set_is_refused(
    template: str | None, thinks: bool, effort: str
) -> None:
    with pytest.raises(RequestError) as caught:
        variables(template, effort, thinks=thinks)
    assert caught.value.param == "reasoning_effort"
    assert effort in caught.value.message
