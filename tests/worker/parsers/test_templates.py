"""Calls rendered by a model's own template are parsed back unchanged, for all of llama.cpp's."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from appliance.engine.types import CalledFunction, ChatMessage, ToolCall
from appliance.errors import RequestError
from appliance.worker.chat_template.generic_tools import with_calls_as_text
from appliance.worker.chat_template.template import ChatTemplate
from appliance.worker.parsers.detect import OutputFormat, detect
from appliance.worker.scheduler.sequence import call_deltas
from tests.worker.llama_sources import sources
from tests.worker.parsers.replies import as_message, read

ASKED = "Which is it, then?"
SHOW_NO_CALL = {
    "LFM2-8B-A1B.jinja",
    "LFM2.5-Instruct.jinja",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja",
    "ibm-granite-granite-3.3-2B-Instruct.jinja",
}
"""They never render a call, so there is none to parse back: their formats are in
`known.py`. That of DeepSeek's Llama has no tools either."""
OTHERWISE = {
    ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja", "text"): "text is shown as a turn after it",
    ("llama-cpp-deepseek-r1.jinja", "text"): "a call is not shown beside text",
    ("openai-gpt-oss-120b.jinja", "text"): "text before a call is shown as a thought",
}
"""Where templates render a call differently from what the model writes."""
TAKES_TOOLS = sorted(
    name
    for name, source in sources("models/templates", ".jinja").items()
    if "tools" in source or "tool_calls" in source
)


def tool(name: str) -> dict[str, Any]:
    properties = {
        "text": {"type": "string", "description": "A text."},
        "other": {"type": "string", "description": "Another."},
        "number": {"type": "integer", "description": "A number."},
        "flag": {"type": "boolean", "description": "A flag."},
        "object": {
            "type": "object",
            "description": "An object.",
            "properties": {},
            "additionalProperties": {"type": "string"},
        },
        "list": {"type": "array", "description": "A list.", "items": {"type": "integer"}},
    }
    parameters = {"type": "object", "properties": properties, "required": ["text"]}
    function = {"name": name, "description": "It does.", "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [tool("get_weather"), tool("set-time")]
ARGUMENTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "one": [("get_weather", {"text": "Köln", "number": 42, "flag": True})],
    "two": [("get_weather", {"text": "a b"}), ("set-time", {"number": -1, "other": "c"})],
    "nested": [("get_weather", {"object": {"a": "x", "b": "y"}, "list": [1, 2, 3]})],
    "empty": [("set-time", {})],
    "unicode": [("get_weather", {"text": "日本 🙂 “Zürich” é", "other": "नमस्ते"})],
    "quotes": [("get_weather", {"text": 'He said "no" <b>\n  x = {1, [2]};\n', "other": "42"})],
}


@functools.cache
def template(name: str) -> ChatTemplate:
    source = sources("models/templates", ".jinja")[name]
    return ChatTemplate(source, bos="<s>", eos="</s>", special_tokens=[])


def rendered(
    name: str, messages: Any, tools: Any, variables: Mapping[str, Any], *, as_is: bool = False
) -> str:
    segments = template(name).render(messages, tools, variables, as_is=as_is)
    return "".join(text for text, _ in segments)


@functools.cache
def style(name: str) -> OutputFormat:
    source = sources("models/templates", ".jinja")[name]
    return detect(source, functools.partial(rendered, name, as_is=True))


def common_start(a: str, b: str) -> int:
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def reply(
    name: str, content: str, calls: list[tuple[str, dict[str, Any]]], thought: str
) -> tuple[str, str] | None:
    """The template's rendering of a reply: the end of the prompt, and the text after it."""
    wrote = [
        {
            "id": f"call0000{i}",
            "type": "function",
            "function": {"name": function, "arguments": json.dumps(given, ensure_ascii=False)},
        }
        for i, (function, given) in enumerate(calls)
    ]
    user = {"role": "user", "content": ASKED}
    message = {"role": "assistant", "content": content, "tool_calls": wrote}
    variables = {}
    if thought:
        message["reasoning_content"] = thought
        variables = {"enable_thinking": True, "thinking": True}
    result = {"role": "tool", "content": "7"}
    results = [result | {"tool_call_id": each["id"], "name": "x"} for each in wrote]
    prompt = rendered(name, [user], TOOLS, variables).rpartition(ASKED)[2]
    for messages in ([user, message], [user, message, *results]):
        try:
            text = rendered(name, messages, TOOLS, variables, as_is=True).rpartition(ASKED)[2]
        except RequestError:
            continue
        if all(function in text for function, _ in calls):
            same = prompt[: common_start(prompt, text)]
            if thought and thought in text and "<" not in prompt[len(same) :]:
                # The prompt's text before the thought appears only at the prompt's end.
                return prompt, text[len(same) :]
            # Not in the middle of a tag.
            same = same[: same.rfind("<")] if same.rfind("<") > same.rfind(">") else same
            return same, text[len(same) :]
    return None


def parsed(name: str, prompt: str, parts: list[str]) -> dict[str, Any]:
    found = as_message(read(style(name).parser(prompt, TOOLS), parts))
    found["calls"] = [(called, json.loads(text)) for called, text in found["calls"]]
    return found


def wrong_with(name: str, case: str, *, content: str = "", thought: str = "") -> str | None:
    """How parsing back differs; None: it doesn't, or the template renders no such thing."""
    calls = ARGUMENTS[case]
    written = reply(name, content, calls, thought)
    if written is None:
        return None if len(calls) > 1 else "it shows no call"
    prompt, text = written
    try:
        found = parsed(name, prompt, [text])
    except ValueError as ex:
        return f"{case}: {ex} in {text!r}"
    if found["calls"] != calls:
        return f"{case}: {found} of {text!r}"
    if content and content in text and not found["content"].strip().startswith(content):
        return f"{case}: {found} of {text!r}"
    if thought and thought in text and found["reasoning"].strip() != thought:
        return f"{case}: {found} of {text!r}"
    for cut in range(len(text)):
        if parsed(name, prompt, [text[:cut], text[cut:]]) != found:
            return f"{case}: another at cut {cut} of {text!r}"
    return None if parsed(name, prompt, list(text)) == found else f"{case}: by characters"


SHOWING = [name for name in TAKES_TOOLS if name not in SHOW_NO_CALL]


def test_most_templates_show_calls() -> None:
    assert len(SHOWING) >= 62


@pytest.mark.parametrize("name", SHOWING)
def test_calls_are_read_back_at_any_cut(name: str) -> None:
    wrong = [wrong_with(name, case) for case in ARGUMENTS]
    if (name, "text") not in OTHERWISE:
        wrong.append(wrong_with(name, "one", content="I will look."))
    wrong.append(wrong_with(name, "one", thought="Let me think."))
    assert [each for each in wrong if each] == []


@pytest.mark.parametrize("name", sorted(SHOW_NO_CALL))
def test_templates_that_show_no_call_are_known_for_it(name: str) -> None:
    assert reply(name, "", ARGUMENTS["one"], "") is None


@pytest.mark.parametrize(("name", "what"), OTHERWISE)
def test_what_is_shown_otherwise_still_is(name: str, what: str) -> None:
    assert what == "text"
    assert wrong_with(name, "one", content="I will look.")


KNOWN = {
    "LFM2-8B-A1B.jinja": (
        "On it. <|tool_call_start|>[get_weather(text='a', number=1), get_weather(text=\"b\")]"
        "<|tool_call_end|>"
    ),
    "ibm-granite-granite-3.3-2B-Instruct.jinja": (
        'On it. <|tool_call|>[{"name": "get_weather", "arguments": {"text": "a", "number": 1}}, '
        '{"name": "get_weather", "arguments": {"text": "b"}}]'
    ),
}


@pytest.mark.parametrize(("name", "text"), KNOWN.items())
def test_formats_that_templates_do_not_show_are_known(name: str, text: str) -> None:
    for parts in ([text], list(text)):
        assert parsed(name, "", parts) == {
            "content": "On it.",
            "reasoning": "",
            "calls": [("get_weather", {"text": "a", "number": 1}), ("get_weather", {"text": "b"})],
        }


@pytest.mark.parametrize("name", KNOWN)
def test_earlier_calls_of_such_a_template_are_put_into_the_text(name: str) -> None:
    calls = style(name).calls
    assert calls
    assert not style(name).shows_calls
    made = [ToolCall("", CalledFunction(n, json.dumps(a))) for n, a in ARGUMENTS["two"]]
    message = with_calls_as_text(ChatMessage("assistant", "On it.", tool_calls=made), calls)
    text = rendered(name, [ChatMessage("user", ASKED), message], TOOLS, {})
    assert message.content in text
    found = parsed(name, "", [message.content])
    assert (found["content"], found["calls"]) == ("On it.", ARGUMENTS["two"])


def test_one_call_at_a_time_where_the_template_shows_no_more() -> None:
    name = "meta-llama-Llama-3.1-8B-Instruct.jinja"
    call = '{"name": "get_weather", "parameters": {"text": "a"}}'
    assert parsed(name, "", [f"{call}; {call}"])["calls"] == [("get_weather", {"text": "a"})]


def test_a_reply_ends_where_a_second_call_begins_that_may_not_be() -> None:
    """What follows would be generated for nobody."""
    call = '{"name": "get_weather", "parameters": {"text": "a"}}'
    for name, ends in (
        ("meta-llama-Llama-3.1-8B-Instruct.jinja", True),
        ("NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja", False),
    ):
        text = f"{call}; {call}"
        if not ends:
            text = f"<tool_call>\n{call}\n</tool_call>\n" * 2
            text = text.replace("parameters", "arguments")
        parser = style(name).parser("", TOOLS)
        over = []
        for char in text:
            parser.feed(char)
            over.append(parser.over)
        assert any(over) is ends, name
        assert not any(over[: len(call) + 2])


@pytest.mark.parametrize("size", [1, 3, 17, 10_000])
def test_a_chunk_has_one_entry_a_call(size: int) -> None:
    """Of whatever format, and however much of the reply is sent at once: clients read one entry
    of an index in each chunk, and put the arguments of all together."""
    seen = 0
    for name in TAKES_TOOLS:
        written = reply(name, "", ARGUMENTS["two"], "") or reply(name, "", ARGUMENTS["one"], "")
        if written is None:
            continue
        prompt, text = written
        parser = style(name).parser(prompt, TOOLS)
        chunks = [parser.feed(text[at : at + size]) for at in range(0, len(text), size)]
        calls: dict[int, list[str]] = {}
        for chunk in (*chunks, parser.finish()):
            entries = call_deltas(chunk)
            assert len({entry.index for entry in entries}) == len(entries), name
            for entry in entries:
                # The name comes first, and once.
                assert bool(entry.name) == bool(entry.id) == (entry.index not in calls), name
                call = calls.setdefault(entry.index, [entry.name or "", ""])
                call[1] += entry.arguments
        whole = parsed(name, prompt, [text])["calls"]
        assert [(called, json.loads(arguments)) for called, arguments in calls.values()] == whole
        seen += bool(calls)
    assert seen >= 55
