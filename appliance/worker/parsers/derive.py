"""How a model writes calls and thoughts, derived from what its chat template makes of examples.

The template is rendered with and without a call, with two arguments and two calls, with a thought.
Names and values in the examples are words that occur nowhere else, so the text between them is what
the model writes around them. What was derived is used if it reads the examples back.

Pure Python: `RenderTemplate` is where the template runs.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from appliance.errors import RequestError
from appliance.worker.parsers.base import ToolCallArguments, ToolCallBegan
from appliance.worker.parsers.call_parser import CallParser
from appliance.worker.parsers.reasoning import Tags
from appliance.worker.parsers.syntax import HOLE, ArgumentStyle, CallSyntax

Message = Mapping[str, Any]


class RenderTemplate(Protocol):
    """A chat template."""

    def __call__(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        variables: Mapping[str, Any],
    ) -> str:
        """The prompt.

        Raises:
            RequestError: the template refuses it.
        """


_NAMES = ("probefirst", "probesecond")
_KEYS = ("keyfirst", "keysecond")
_VALUES = ("valuefirst", "valuesecond", "valuethird", "valuefourth")
_IDS = ("callid001", "callid002")
_ASKED, _ANSWER, _THOUGHT = "Question asked.", "Answer given.", "Thought made."
_LONGEST = 10_000
"""Characters of what a template makes of an example; real ones don't come near it."""
_THINK = {"enable_thinking": True, "thinking": True}
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "It probes.",
            "parameters": {
                "type": "object",
                "properties": {
                    _KEYS[0]: {"type": "string", "description": "One."},
                    _KEYS[1]: {"type": "string", "description": "Two."},
                    "number": {"type": "integer", "description": "Three."},
                },
                "required": [_KEYS[0]],
            },
        },
    }
    for name in _NAMES
]
_USER = {"role": "user", "content": _ASKED}

_TOKEN = re.compile(
    r"<[^<>\n]*>|\[/?[A-Z_]+\]|\s|\d+|\w+|."  # marks as a whole, else words and signs
)
_MARK = re.compile(r"(<[^<>\n]*>|\[/?[A-Z][A-Z_ ]+\])\s*")
_LAST = re.compile(r"(<[^<>\n]*>|\[/?[A-Z_ ]+\])[^<>\[\]]*\Z")
_LAST_WORD = re.compile(r"\S+\Z")
_DOUBLE = re.compile(r"(<[^<>\n]*>)(\w+)(<[^<>\n]*>)\s*$")


def _tool_call(index: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": _NAMES[index], "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": _IDS[index], "type": "function", "function": function}


def assistant(content: str, *calls: Mapping[str, Any], thought: str = "") -> dict[str, Any]:
    """A message of the assistant's."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = list(calls)
    if thought:
        message["reasoning_content"] = thought
    return message


def replied(
    render: RenderTemplate, message: Message, tools: Sequence[Mapping[str, Any]]
) -> str | None:
    """What the template makes of a reply, from behind the question; None: it refuses.

    Some show calls only once there are results.
    """
    calls = message.get("tool_calls", ())
    results = [
        {"role": "tool", "tool_call_id": c["id"], "name": c["function"]["name"], "content": "7"}
        for c in calls
    ]
    for messages in ([_USER, message], [_USER, message, *results]):
        try:
            text = render(messages, tools, _THINK if "reasoning_content" in message else {})
        except RequestError:
            continue
        _, _, text = text.rpartition(_ASKED)
        if len(text) > _LONGEST:
            continue
        if all(c["function"]["name"] in text for c in calls):
            return text
        if not results:
            return text
    return None


class Derived(msgspec.Struct, frozen=True):
    """What a template says about replies."""

    tags: Tags | None
    """Around thoughts; None: it shows none."""
    dropped: tuple[str, ...]
    """Marks around answers, which are no part of them."""
    calls: CallSyntax | None
    """None: it shows no calls, or in a way that can't be derived."""
    shows_calls: bool


def derive(render: RenderTemplate, known: Tags | None) -> Derived:
    """What can be derived; what doesn't read the examples back is left out.

    `known`: tags that the template's text names, which count where it shows no thought.
    """
    shown = _Shown(render)
    tags = _tags(shown) or known
    dropped = _dropped(shown, tags)
    shows_calls = _NAMES[0] in shown.call
    return Derived(tags, dropped, _calls(shown, tags, dropped), shows_calls)


class _Shown:
    """What a template makes of some replies; empty: it refuses."""

    def __init__(self, render: RenderTemplate) -> None:
        self._render = render
        call = _tool_call(0, {_KEYS[0]: _VALUES[0]})
        self.prompt = self._prompt()
        self.plain = self.of(assistant(_ANSWER))
        self.call = self.of(assistant("", call))
        self.thought = self.of(assistant(_ANSWER, thought=_THOUGHT))
        self.thought_call = self.of(assistant("", call, thought=_THOUGHT))

    def of(self, message: Message) -> str:
        return replied(self._render, message, _TOOLS) or ""

    def _prompt(self) -> str:
        """What comes behind a question where a reply begins."""
        for tools in (_TOOLS, None):
            try:
                return self._render([_USER], tools, _THINK).rpartition(_ASKED)[2]
            except RequestError:
                continue
        return ""

    def behind_prompt(self, text: str) -> str:
        return text[len(_common_start(text, self.prompt)) :]


def _tags(shown: _Shown) -> Tags | None:
    # Some show thoughts before calls alone.
    for text, answer in ((shown.thought, _ANSWER), (shown.thought_call, "")):
        before, found, between = text.partition(_THOUGHT)
        if answer:
            between, answered, _ = between.partition(_ANSWER)
            found = found and answered
        closing = _first_mark(between)
        if not found or not _has_mark(closing):
            continue
        rest = shown.behind_prompt(before).strip()
        before = rest if _has_mark(rest) else before.rstrip()
        last = _DOUBLE.search(before) or _LAST.search(before) or _LAST_WORD.search(before)
        opening = last.group().strip() if last else ""
        header, _, _ = shown.plain.partition(_ANSWER)
        if opening and opening in header and closing not in header:
            # It is how any reply begins; the prompt may go on, and the thought after that.
            opening = rest or shown.prompt.rpartition(opening)[2].strip()
        if opening:
            return Tags(opening, closing)
    return None


def _dropped(shown: _Shown, tags: Tags | None) -> tuple[str, ...]:
    before, found, after = shown.plain.partition(_ANSWER)
    opening = _without_thought(shown.behind_prompt(before), tags) if found else ""
    marks = set()
    if _has_mark(opening):
        closing = _first_mark(after)
        end = _first_mark(after.strip().removeprefix(closing))
        marks = {opening, closing, end}
    if tags:
        _, _, between = shown.thought.partition(_THOUGHT)
        between, answered, _ = between.partition(_ANSWER)
        if answered:
            marks.add(between.strip().removeprefix(tags.closing).strip())
    return tuple(sorted(filter(_has_mark, marks), key=len, reverse=True))


def _without_thought(text: str, tags: Tags | None) -> str:
    """Without an empty thought in front."""
    text = text.strip()
    for mark in (tags.opening, tags.closing) if tags else ():
        text = text.removeprefix(mark).strip()
    return text


def _calls(shown: _Shown, tags: Tags | None, dropped: Sequence[str]) -> CallSyntax | None:
    """How calls are written; None: it could not be derived."""
    values = _VALUES
    first = _tool_call(0, dict(zip(_KEYS, values[:2], strict=True)))
    second = _tool_call(1, dict(zip(_KEYS, values[2:], strict=True)))
    text = shown.of(assistant("", first, second))
    parallel = bool(text)
    text = text or shown.of(assistant("", first))
    if not text or not shown.plain:
        return None
    _, _, after = shown.plain.rpartition(_ANSWER)
    text = shown.behind_prompt(text)
    end = _common_end(text, after)
    text = _without_thought(text[: len(text) - len(end)], tags)
    for mark in reversed(dropped):
        text = text.removeprefix(mark).strip()
    split = _Split(text, end, parallel=parallel)
    if split.whole is not None:
        candidates = [split.objects()]
    elif split.arguments is not None:
        candidates = [split.named()]
    else:
        call = _tool_call(0, {_KEYS[0]: values[0], "number": 42})
        numbers = shown.of(assistant("", call))
        candidates = [split.tagged(numbers, value_first=first) for first in (False, True)]
    wrote = [call["function"] for call in (first, second)][: 2 if parallel else 1]
    return next((found for found in candidates if found and _read(found, text) == wrote), None)


def _read(syntax: CallSyntax, text: str) -> list[dict[str, str]]:
    """The names and arguments of calls in a text."""
    parser = CallParser(syntax, _TOOLS)
    found: list[dict[str, str]] = []
    for part in [*parser.feed(text), *parser.finish()]:
        if isinstance(part, ToolCallBegan):
            found.append({"name": part.name, "arguments": ""})
        elif isinstance(part, ToolCallArguments):
            found[-1]["arguments"] += part.delta
    try:
        return [call | {"arguments": json.dumps(json.loads(call["arguments"]))} for call in found]
    except ValueError:
        return []


class _Split:
    """A rendered reply with one or two calls, taken apart."""

    def __init__(self, text: str, end: str, *, parallel: bool) -> None:
        """`end`: what comes behind any reply."""
        self.text = text
        self.end = end
        self.parallel = parallel
        count = 2 if parallel else 1
        self.names = []
        at = 0
        for index, name in enumerate(_NAMES[:count]):
            # Some write it twice.
            until = text.find(_VALUES[2 * index], at)
            at = text.rfind(name, at, until)
            self.names.append((at, at + len(name)))
        self.whole = self._objects_at([self._opens_before(start) for start, _ in self.names])
        self.arguments = self._objects_at([text.find("{", end) for _, end in self.names])

    def _opens_before(self, at: int) -> int:
        """Where the JSON object begins that a name stands in."""
        found = re.search(r"\{[^{}]*\"$", self.text[:at])
        return found.start() if found else -1

    def _objects_at(self, starts: list[int]) -> list[tuple[int, int]] | None:
        found = []
        for start in starts:
            if start < 0:
                return None
            try:
                value, end = json.JSONDecoder().raw_decode(self.text, start)
            except ValueError:
                return None
            if _KEYS[0] not in json.dumps(value) or not isinstance(value, dict):
                return None
            found.append((start, end))
        return found

    def objects(self) -> CallSyntax | None:
        """Calls are JSON objects."""
        assert self.whole
        text = self.text
        value = json.loads(text[slice(*self.whole[0])])
        opening, between, closing = self._around(self.whole)
        listed = opening.rstrip().endswith("[")
        if listed:
            marks = _Marks(opening.rstrip()[:-1], "", "", closing.partition("]")[2])
        else:
            marks = _marks(opening, between, closing, parallel=self.parallel)
        keyed = isinstance(value.get(_NAMES[0]), dict)
        if keyed:
            return self._syntax(marks, style=ArgumentStyle.KEYED, listed=listed)
        name_key = next((k for k, v in value.items() if v == _NAMES[0]), "")
        arguments_key = next((k for k, v in value.items() if isinstance(v, dict)), "")
        if not name_key or not arguments_key:
            return None
        return self._syntax(
            marks,
            style=ArgumentStyle.OBJECT,
            listed=listed,
            name_key=name_key,
            arguments_key=arguments_key,
            keys=frozenset(value) - {name_key, arguments_key},
        )

    def named(self) -> CallSyntax:
        """A name, and its arguments as JSON."""
        assert self.arguments
        text = self.text
        labels = [
            text[end:start] for (_, end), (start, _) in zip(self.names, self.arguments, strict=True)
        ]
        spans = [
            (start, end) for (start, _), (_, end) in zip(self.names, self.arguments, strict=True)
        ]
        marks = _marks(*self._around(spans), parallel=self.parallel)
        after_name = _holes(labels[0], labels[-1]).strip()
        _, _, short = after_name.rpartition(HOLE)
        return self._syntax(
            marks,
            style=ArgumentStyle.JSON,
            after_name=after_name,
            after_label=short if short != after_name and _has_mark(short) else "",
        )

    def tagged(self, numbers: str, *, value_first: bool) -> CallSyntax | None:
        """Names and values between marks.

        Args:
            numbers: a reply with text and a number.
            value_first: what may belong to the end of a value as well as to the beginning of the
                next argument belongs to the former.
        """
        text = self.text
        keys, values = [], []
        at = self.names[0][1]
        for key, value in zip(_KEYS, _VALUES, strict=False):
            start = text.find(key, at)
            at = text.find(value, start)
            if start < 0 or at < 0:
                return None
            keys.append((start, start + len(key)))
            values.append((at, at + len(value)))
            at += len(value)
        between = _without_keys(text[values[0][1] : keys[1][0]])
        before_name = text[self.names[0][1] : keys[0][0]]
        to_text = text[keys[0][1] : values[0][0]]
        to_other = _either(to_text, _other_mark(numbers) or to_text)
        last = text.find(_VALUES[3]) if self.parallel else values[1][0]
        last += len(_VALUES[3]) if self.parallel else len(_VALUES[1])
        rest = _without_keys(text[last:])
        after = text[values[1][1] : self.names[1][0]] if self.parallel else rest
        after = _without_keys(after)
        if value_first:
            value_end = _common_start(between, rest)
            opening = _common_end(before_name, between[len(value_end) :])
        else:
            opening = _common_end(before_name, between)
            value_end = _common_start(between[: len(between) - len(opening)], rest)
        separator = between[len(value_end) : len(between) - len(opening)].strip()
        after_name = before_name[: len(before_name) - len(opening)]
        if self.parallel:
            second = text[self.names[1][1] : text.find(_KEYS[0], self.names[1][1])]
            after_name = _holes(after_name, second[: len(second) - len(opening)])
        after_name = after_name.strip()
        marks = _marks(
            text[: self.names[0][0]],
            after[len(value_end) :],
            rest[len(value_end) :],
            parallel=self.parallel,
        )
        shared = {"after_name": after_name, "between": separator}
        if after_name == "(":
            marks.call_end = ""
            return self._syntax(marks, style=ArgumentStyle.PYTHON, **shared)
        return self._tagged_syntax(marks, opening, to_text, to_other, value_end, shared)

    def _tagged_syntax(
        self,
        marks: "_Marks",
        opening: str,
        to_text: str,
        to_other: str,
        value_end: str,
        shared: dict[str, str],
    ) -> CallSyntax | None:
        quote = value_end.strip()
        if to_other.strip() == ":" and quote and to_text.strip() == f":{quote}":
            if shared["after_name"] != "{":
                return None
            marks.call_end = marks.call_end.strip().removeprefix("}")
            return self._syntax(marks, style=ArgumentStyle.QUOTED, quote=quote)
        first = to_text[len(to_text.rstrip()) :]
        last = value_end[: len(value_end) - len(value_end.lstrip())]
        if not to_text.strip() or not value_end.strip():
            return None
        return self._syntax(
            marks,
            style=ArgumentStyle.TAGGED,
            argument=(opening.strip(), to_text.strip(), to_other.strip(), value_end.strip()),
            padding=(first, last),
            **shared,
        )

    def _around(self, spans: list[tuple[int, int]]) -> tuple[str, str, str]:
        text = self.text
        between = text[spans[0][1] : spans[1][0]] if self.parallel else ""
        return text[: spans[0][0]], between, text[spans[-1][1] :]

    def _syntax(self, marks: "_Marks", **rest: Any) -> CallSyntax:
        if section_end := marks.section_end.strip():
            cut = re.fullmatch(r"<[^<>\n]*>\w+", section_end)
            section_end = _first_mark(section_end + self.end if cut else section_end)
        return CallSyntax(
            section=(marks.section.strip(), section_end),
            call=(marks.call.strip(), marks.call_end.strip()),
            separator=marks.separator.strip(),
            parallel=self.parallel,
            **rest,
        )


class _Marks:
    def __init__(
        self, section: str, call: str, call_end: str, section_end: str, separator: str = ""
    ) -> None:
        self.section = section
        self.call = call
        self.call_end = call_end
        self.section_end = section_end
        self.separator = separator


def _marks(opening: str, between: str, closing: str, *, parallel: bool) -> _Marks:
    """What is around all calls, and what around each."""
    opening, closing = _without_ids(opening), _without_ids(closing)
    if not parallel:
        return _Marks("", opening, _first_mark(closing), "")
    between = _without_ids(between)
    call_end = _common_start(between, closing)
    call = _common_end(opening, between[len(call_end) :])
    return _Marks(
        opening[: len(opening) - len(call)],
        call,
        call_end,
        closing[len(call_end) :],
        between[len(call_end) : len(between) - len(call)],
    )


def _without_ids(text: str) -> str:
    for word in (*_IDS, *_NAMES):
        text = text.replace(word, HOLE)
    return text


def _without_keys(text: str) -> str:
    for word in _KEYS:
        text = text.replace(word, HOLE)
    return text


def _holes(a: str, b: str) -> str:
    """The text that two have in common, with holes for ids and numbers."""
    first, second = _TOKEN.findall(_without_ids(a)), _TOKEN.findall(_without_ids(b))
    if len(first) != len(second):
        return _without_ids(a)
    return "".join(x if x == y else _holes_inside(x, y) for x, y in zip(first, second, strict=True))


def _holes_inside(x: str, y: str) -> str:
    if x.isdigit() and y.isdigit():
        return HOLE
    return re.sub(r"\d+", HOLE, x)


def _other_mark(numbers: str) -> str:
    """What stands between an argument's name and a number."""
    _, _, rest = numbers.rpartition(_VALUES[0])
    found = re.search(r"number(.*?)42", rest, re.DOTALL)
    return found.group(1) if found else ""


def _has_mark(text: str) -> bool:
    return _MARK.search(text) is not None


def _either(to_text: str, to_number: str) -> str:
    """The mark before a value that is no text: a hole where it says of what type it is."""
    first, second = _TOKEN.findall(to_text), _TOKEN.findall(to_number)
    if len(first) != len(second):
        return to_number
    pairs = list(zip(first, second, strict=True))
    return "".join(HOLE if x != y and x.isalnum() and y.isalnum() else y for x, y in pairs)


def _first_mark(text: str) -> str:
    """The first of several marks: those behind it are the end of the turn."""
    text = text.strip()
    double = re.match(r"<[^<>\n]*>\w+<[^<>\n]*>", text)
    if double:
        return double.group()
    found = _MARK.match(text)
    return found.group(1) if found else re.split(r"\n|(?<=>)", text)[0].strip()


def _common_start(a: str, b: str) -> str:
    """The text that both begin with, no mark in two."""
    out = []
    for x, y in zip(_TOKEN.findall(a), _TOKEN.findall(b), strict=False):
        if x != y:
            break
        out.append(x)
    return "".join(out)


def _common_end(a: str, b: str) -> str:
    """The text that both end with, no mark in two."""
    out = []
    for x, y in zip(reversed(_TOKEN.findall(a)), reversed(_TOKEN.findall(b)), strict=False):
        if x != y:
            break
        out.append(x)
    return "".join(reversed(out))
