"""Calls are found in replies, however the text is split."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.worker.parsers.base import Content, OutputPart, ToolCallArguments, ToolCallBegan
from tests.worker.parsers.replies import as_message, parser, read

WEATHER = '{"city": "Köln", "days": [1, 2]}'
CALL = f'{{"name": "weather", "arguments": {WEATHER}}}'
LLAMA_CALL = f'{{"name": "weather", "parameters": {WEATHER}}}'

H, L, M, N, G = "hermes", "llama", "mistral", "mistral-named", "harmony"
TWO = [("weather", WEATHER), ("time", "{}")]

REPLIES: list[tuple[str | None, str, str, list[tuple[str, str]]]] = [
    (H, f"<tool_call>\n{CALL}\n</tool_call>", "", TWO[:1]),
    (
        H,
        f'I look.\n<tool_call>{CALL}</tool_call>\n<tool_call>{{"name":"time"}}</tool_call>\n',
        "I look.",
        TWO,
    ),
    (H, f"<tool_call>{CALL}</tool_call>\n\nDone.", "\n\nDone.", TWO[:1]),
    (H, f"<tool_call>{CALL}}}\n</tool_call>", "", TWO[:1]),
    (H, f"<tool_call>{CALL[:-1]}\n</tool_call> ok", " ok", TWO[:1]),
    (
        H,
        '<tool_call>{"name": "x", "arguments": {"a": [1}</tool_call> ok',
        " ok",
        [("x", '{"a": [1}')],
    ),
    (H, f"<tool_call>{CALL}", "", TWO[:1]),
    (H, f"<tool_call>{CALL}</tool_", "", TWO[:1]),
    (H, f"<tool_call>{CALL[:-9]}", "", [("weather", WEATHER[:-8])]),
    (H, f'<tool_call>{{"arguments": {WEATHER}, "name": "weather"}}</tool_call>', "", TWO[:1]),
    (H, '<tool_call>{"name": "time", "arguments": null}</tool_call>', "", TWO[1:]),
    (H, '<tool_call>{"name": "time", "arguments": ""}</tool_call>', "", TWO[1:]),
    (
        H,
        f'<tool_call>{{"name": "weather", "arguments": {json.dumps(WEATHER)}}}</tool_call>',
        "",
        TWO[:1],
    ),
    (
        H,
        '<tool_call>{"name": "x", "arguments": {"code": "</tool_call> }{ \\" \\\\"}}</tool_call>',
        "",
        [("x", '{"code": "</tool_call> }{ \\" \\\\"}')],
    ),
    (L, LLAMA_CALL, "", TWO[:1]),
    (L, f"<|python_tag|>{LLAMA_CALL}", "", TWO[:1]),
    (L, f'\n{LLAMA_CALL}; {{"type": "function", "name": "time", "parameters": {{}}}}', "", TWO),
    (L, f"{LLAMA_CALL}\n\nThat is all.", "\n\nThat is all.", TWO[:1]),
    (M, f'[TOOL_CALLS] [{CALL}, {{"name": "time", "arguments": {{}}, "id": "abc"}}]', "", TWO),
    (M, f"[TOOL_CALLS][{CALL}]\nfine", "\nfine", TWO[:1]),
    (M, f"[TOOL_CALLS][oh][TOOL_CALLS][{CALL}]", "[TOOL_CALLS][oh]", TWO[:1]),
    (N, f"So.[TOOL_CALLS]weather[ARGS]{WEATHER}[TOOL_CALLS]time[CALL_ID]a1[ARGS]{{}}", "So.", TWO),
    (
        G,
        (
            "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.weather"
            f"<|channel|>commentary <|constrain|>json<|message|>{WEATHER}<|call|>"
        ),
        "I look.",
        TWO[:1],
    ),
    (G, "<|channel|>final<|message|>Hello <b><|return|>", "Hello <b>", []),
    (G, "Hello < there", "Hello < there", []),
    (G, "<|channel|>final<|mess", "", []),
]

NO_CALLS = [
    (H, "<tool_call> is a tag"),
    (H, '<tool_call>{"name": "weather", "arguments": {city}}</tool_call>'),
    (H, '<tool_call>{"title": "weather", "arguments": {}}</tool_call>'),
    (H, '<tool_call>{"name": "weather", "arguments": [1]}</tool_call>'),
    (H, '<tool_call>{"name": "weather", "argum'),
    (H, '<tool_call>{"name": "weather"'),
    (H, '<tool_call>{"name": 5, "arguments": {}}'),
    (H, f'<tool_call>{{"arguments": {"[" * 100_000}{"]" * 100_000}, "name": "time"}}'),
    (H, f'<tool_call>{{"name": "{"x" * 300}", "arguments": {{}}}}'),
    (H, "  a < b <tool> \n"),
    (H, "ends in <tool_c"),
    (L, '{"name": "Ada", "parameters": {"a": 1}}'),
    (L, '{"city": "Köln"}'),
    (L, f"Here: {LLAMA_CALL}"),
    (L, '<|python_tag|>search.call(query="x")'),
    (L, " { not json }"),
    (M, "[TOOL_CALLS] are a list [1]"),
    (M, "[TOOL_CALLS][]"),
    (M, "[TOOL_CALLS]weather(1)[ARGS]{}"),
    (M, f"[TOOL_CALLS]{'x' * 200}[ARGS]{{}}"),
    (None, f"<tool_call>{CALL}</tool_call>"),
]


@pytest.mark.parametrize(("format", "text", "content", "calls"), REPLIES)
def test_calls_are_found_at_any_cut(
    format: str | None, text: str, content: str, calls: list[tuple[str, str]]
) -> None:
    whole = read(parser(format), [text])
    assert as_message(whole) == {"content": content, "reasoning": "", "calls": calls}
    assert read(parser(format), list(text)) == whole
    for cut in range(len(text)):
        assert read(parser(format), [text[:cut], text[cut:]]) == whole


@pytest.mark.parametrize(("format", "text"), NO_CALLS)
def test_what_is_no_call_comes_out_unchanged(format: str | None, text: str) -> None:
    for parts in ([text], list(text)) if len(text) < 1000 else ([text],):
        assert read(parser(format), parts) == [Content(text)]


def test_a_call_after_one_that_was_none_is_found() -> None:
    text = f"<tool_call>oh <tool_call>{CALL}</tool_call>"
    assert as_message(read(parser(H), list(text))) == {
        "content": "<tool_call>oh",
        "reasoning": "",
        "calls": TWO[:1],
    }


def test_calls_are_streamed_while_they_are_written() -> None:
    reader = parser(H)
    assert reader.feed('Hm <tool_call>{"name": "weather", "argum') == [Content("Hm")]
    began, *rest = reader.feed('ents": {"city": "K')
    assert isinstance(began, ToolCallBegan)
    assert (began.index, began.name) == (0, "weather")
    assert rest == [ToolCallArguments(0, '{"city": "K')]
    assert reader.feed("öln") == [ToolCallArguments(0, "öln")]


def test_text_that_cannot_be_a_call_is_not_held_back() -> None:
    assert parser(H).feed("a < b") == [Content("a < b")]
    assert parser(L).feed("Hello") == [Content("Hello")]
    assert parser(L).feed('{"city"') == [Content('{"city"')]
    assert parser(M).feed("[x] [TOOL_x") == [Content("[x] [TOOL_x")]


FRAGMENTS = [
    *("<tool_call>", "</tool_call>", "<think>", "</think>", "<|python_tag|>", "[TOOL_CALLS]"),
    *("[ARGS]", "[CALL_ID]", "<|channel|>", "<|message|>", "<|end|>", "<|start|>", "final"),
    *('{"name": ', '"weather"', ', "arguments": ', ', "parameters":', '{"a": 1}', WEATHER, CALL),
    *("}", "{", "[", "]", '"', "\\", ",", ";", ":", "<", "_call>", "null", "weather", " ", "\n"),
    *("x", "to=functions.time", "commentary", "</", "é", LLAMA_CALL),
]


def in_order(text: str, pieces: list[OutputPart]) -> bool:
    """Whether all parsed text occurs in the reply, once and in that order."""
    at = 0
    for piece in pieces:
        if isinstance(piece, ToolCallBegan):
            part = piece.name
        else:
            part = piece.delta if isinstance(piece, ToolCallArguments) else piece.text
        if part == "{}" and part not in text[at:]:
            continue  # the form without arguments
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def is_subsequence(text: str, pieces: list[OutputPart]) -> bool:
    """The same for harmony's replies, where markers inside one text are dropped."""
    left = iter(text)
    parts = [
        piece.delta if isinstance(piece, ToolCallArguments) else piece.text
        for piece in pieces
        if not isinstance(piece, ToolCallBegan)
    ]
    return all(letter in left for letter in "".join(parts))


@given(
    st.sampled_from([None, H, L, M, N, G]),
    st.booleans(),
    st.sampled_from(["", "<think>\n"]),
    st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join),
    st.lists(st.integers(0, 400)),
)
@example(L, False, "", " ", [])
@example(L, False, "", f"{LLAMA_CALL};{LLAMA_CALL}; x", [])
@example(H, True, "", f"<think>x</think><tool_call>{CALL} <tool_call>", [])
@example(None, True, "", "<tool_call></think><tool_call>", [])
@example(G, False, "", "<tool_call><|end|><tool_call>", [])
@example(G, False, "", "<|start|>" + 600 * "x" + "<|message|>", [])
@example(G, False, "", "Hm <|start|>" + 514 * "x" + "<|message|> y <|start|>final<|message|>z", [])
def test_no_split_changes_the_parsed_reply(
    format: str | None, think: bool, prompt: str, text: str, borders: list[int]
) -> None:
    def run(parts: list[str]) -> list[OutputPart]:
        return read(parser(format, think=think, prompt=prompt), parts)

    whole = run([text])
    at = sorted({0, len(text), *(border % (len(text) + 1) for border in borders)})
    assert run([text[a:b] for a, b in itertools.pairwise(at)]) == whole
    assert run(list(text)) == whole
    if all(isinstance(piece, Content) for piece in whole) and not think and format is not G:
        assert whole == ([Content(text)] if text else [])
    if "\\" not in text:  # which is stripped from arguments in a string
        # Of a thought that was never opened, the mark that closes it is dropped from within a text.
        marks_dropped = format is G or (think and "</think>" in text)
        assert is_subsequence(text, whole) if marks_dropped else in_order(text, whole)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\<>{}é', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=6,
)
arguments = st.dictionaries(st.text('ab"\\ ', max_size=4), values, max_size=3)


@given(
    st.sampled_from([H, L, M, N]),
    st.lists(st.tuples(st.sampled_from(["weather", "time"]), arguments), min_size=1, max_size=3),
    st.text('ab <>"{é', max_size=20),
    st.sampled_from([None, 2]),
)
def test_arguments_come_out_to_the_letter(
    format: str, calls: list[tuple[str, dict[str, Any]]], before: str, indent: int | None
) -> None:
    wrote = [(name, json.dumps(value, indent=indent)) for name, value in calls]
    objects = [f'{{"name": "{name}", "arguments": {text}}}' for name, text in wrote]
    text = {
        H: before + "\n".join(f"<tool_call>\n{each}\n</tool_call>" for each in objects),
        L: ";".join(objects),
        M: f"{before}[TOOL_CALLS][{','.join(objects)}]",
        N: before + "".join(f"[TOOL_CALLS]{name}[ARGS]{value}" for name, value in wrote),
    }[format]
    content = "" if format is L else before.rstrip()
    for parts in ([text], list(text)):
        assert as_message(read(parser(format), parts)) == {
            "content": content,
            "reasoning": "",
            "calls": wrote,
        }
