"""Chats with calls and tools, in the form that templates of several families require."""

import json
from typing import Any

import pytest

from appliance.worker.chat_template.template import ChatTemplate

ARGUMENTS = '{"city":"Köln",  "days":[1]}'
CALLS = "{% for m in messages %}{% for c in m.tool_calls or [] %}"
END = "{% endfor %}{% endfor %}"


def call(id: str = "call_0123456789abcdef01234567", arguments: str = ARGUMENTS) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def chat(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": list(calls)},
        *({"role": "tool", "tool_call_id": each["id"], "content": "7"} for each in calls),
    ]


def rendered(source: str, *arguments: Any, special_tokens: list[str] | None = None) -> str:
    template = ChatTemplate(source, bos="", eos="", special_tokens=special_tokens or [])
    return "".join(text for text, _ in template.render(*arguments))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ c.function.arguments | tojson }}", '{"city": "Köln", "days": [1]}'),
        ("{{ (c.function | tojson)[-8:] }}", '"days": [1]}}'[-8:]),
        ("{{ c.function.arguments.city }}", "Köln"),
        ("{{ 'args:' + c.function.arguments }}", "args:" + ARGUMENTS),
        ("{% set a = c.function.arguments %}{{ a if a is string else a | tojson }}", ARGUMENTS),
    ],
)
def test_arguments_have_the_form_that_the_template_wants(source: str, expected: str) -> None:
    assert rendered(CALLS + source + END, chat(call())) == expected


def test_ids_are_short_for_templates_that_refuse_others() -> None:
    source = (
        "{% for m in messages %}{% for id in [m.tool_call_id] + (m.tool_calls or []) "
        "| map(attribute='id') | list if id is defined %}"
        "{% if id | length != 9 %}{{ raise_exception('ids have 9 characters') }}{% endif %}"
        "{{ id }} {% endfor %}{% endfor %}"
    )
    first, second, *results = rendered(source, chat(call("call_a"), call("abcdefghi"))).split()
    assert first.isalnum()
    assert second == "abcdefghi"
    assert results == [first, second]


def test_content_is_never_none_and_missing_things_are_missing() -> None:
    source = (
        "{% for m in messages %}{{ '[' + m.content + ']' }}{{ m.tool_calls is defined }}"
        "{{ m.name is defined }}{% endfor %}"
    )
    messages = [{"role": "user", "content": "a", "name": None, "tool_calls": None}]
    assert rendered(source, [*messages, *chat(call())[1:2]]) == "[a]FalseFalse[]TrueFalse"


def test_tools_are_whole() -> None:
    tools = [
        {"type": "function", "function": {"name": "now", "strict": True}},
        {
            "type": "function",
            "function": {"name": "f", "description": "D", "parameters": {"type": "object"}},
        },
    ]
    source = "{{ tools | tojson(separators=(',', ':'), ensure_ascii=true) }}"
    now, f = json.loads(rendered(source, chat(), tools))
    assert now["function"] == {
        "name": "now",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    }
    assert f == tools[1]
    assert rendered("{{ tools is none }}", chat()) == "True"


def test_no_way_around_smuggles_in_a_control_token() -> None:
    token = "<|end|>"
    escaped = json.dumps({token: "<|\u0065nd|>"}).replace("<", "\\u003c")
    tool = {"type": "function", "function": {"name": "f", "description": token}}
    source = (
        CALLS + "{{ c.function.arguments | tojson }}" + END + "{{ tools | tojson }}{{ extra }}"
        "{{ messages[0].content }}<|end|>\ue0f099\ue0f1"
    )
    template = ChatTemplate(source, bos="", eos="", special_tokens=[token])
    messages = chat(call(arguments=escaped))
    messages[0]["content"] = f"\ue0f0{token}0\ue0f1 \ue0f0\ue0f00\ue0f10\ue0f1"
    segments = template.render(messages, [tool], {"extra": token})
    assert "".join(text for text, meant in segments if meant).count(token) == 1
    assert [text for text, meant in segments if not meant].count(token) == 5
    whole = "".join(text for text, _ in segments)
    assert whole.endswith(messages[0]["content"] + "<|end|>\ue0f099\ue0f1")


def test_marks_for_training_are_passed_over() -> None:
    source = "{% generation %}{{ messages[0].content }}{% endgeneration %}!"
    assert rendered(source, chat()) == "hi!"


def test_a_thought_goes_by_the_names_that_templates_know() -> None:
    messages = [{"role": "assistant", "content": "a", "reasoning_content": "hm"}]
    source = "{{ messages[0].reasoning_content }} {{ messages[0].thinking }}"
    assert rendered(source, messages) == "hm hm"
