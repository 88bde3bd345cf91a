"""llama.cpp's own tests of reply parsing, read from its test-chat.cpp; no copy is stored here."""

import ast
import functools
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.worker.llama_sources import sources

_TOKEN = re.compile(
    r'R"(?P<mark>[^(\s]*)\((?P<raw>.*?)\)(?P=mark)"'  # a raw string
    r'|(?P<text>"(?:[^"\\\n]|\\.)*")'
    r"|//[^\n]*|/\*.*?\*/"
    r"|(?P<word>\w+)"
    r"|(?P<sign>[^\s\w])",
    re.DOTALL,
)
Token = tuple[str, str]


@dataclass
class ChatCase:
    """A reply, and the expected result of parsing it."""

    template: str
    text: str
    tools: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    content: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Names and arguments."""


def _literal(text: str) -> str:
    if "\\x" in text and text.isascii():
        return bytes(ast.literal_eval(f"b{text}")).decode("utf-8", "surrogateescape")
    return str(ast.literal_eval(text))


def _tokens(source: str) -> list[Token]:
    found: list[Token] = []
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup
        if kind == "raw":
            found.append(("text", match["raw"]))
        elif kind == "text":
            found.append(("text", _literal(match["text"])))
        elif kind in ("word", "sign"):
            found.append((str(kind), match[str(kind)]))
    return found


@dataclass
class _Call:
    """`name(…)`."""

    name: str
    arguments: list[Any]


class _Reader:
    """Expressions: strings, words, calls, and lists in braces."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def sign(self, *signs: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] in [("sign", s) for s in signs]:
            self.at += 1
            return True
        return False

    def expression(self) -> Any:
        """None for any other expression."""
        parts = [self._part()]
        while self.sign("+") or (self.at < len(self.tokens) and self.tokens[self.at][0] == "text"):
            parts.append(self._part())
        if len(parts) == 1:
            return parts[0]
        return "".join(parts) if all(isinstance(p, str) for p in parts) else None

    def _part(self) -> Any:
        kind, text = self.tokens[self.at]
        if kind == "text":
            self.at += 1
            return text
        if self.sign("{"):
            return self.items("}")
        if kind == "word":
            self.at += 1
            while self.sign(":"):
                self.sign(":")
                text = self.tokens[self.at][1]
                self.at += 1
            if self.sign("("):
                return _Call(text, self.items(")"))
            return _Call(text, [])
        self.at += 1
        return None

    def items(self, end: str) -> list[Any]:
        found = []
        while not self.sign(end):
            found.append(self.expression())
            if not self.sign(",") and self.tokens[self.at] != ("sign", end):
                self.at += 1
        return found


def _message(value: Any, known: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The message that an expression builds."""
    if not isinstance(value, _Call):
        return None
    if value.name in known:
        return known[value.name]
    texts = [a if isinstance(a, str) else "" for a in value.arguments] + [""] * 5
    match value.name:
        case "simple_assist_msg":
            content, reasoning, name, arguments, *_ = texts
        case "message_with_tool_calls":
            content, reasoning, name, arguments = "", "", texts[0], texts[1]
        case "message_with_tool_calls_and_reasoning":
            content, (name, arguments, reasoning) = "", texts[:3]
        case "message_with_content_and_tool_call":
            reasoning, (content, name, arguments) = "", texts[:3]
        case "message_with_reasoning_and_tool_call":
            content, (reasoning, name, arguments) = "", texts[:3]
        case "message_with_reasoning_content_and_multiple_tool_calls":
            calls = [(each[0], each[1]) for each in value.arguments[2]]
            return {"reasoning": texts[0], "content": texts[1], "calls": calls}
        case _:
            return None
    return {
        "content": content,
        "reasoning": reasoning,
        "calls": [(name, arguments)] if name else [],
    }


def _tool(name: str, parameters: str) -> dict[str, Any]:
    function = {"name": name, "description": name, "parameters": json.loads(parameters)}
    return {"type": "function", "function": function}


@functools.cache
def chat_cases() -> list[ChatCase]:
    """The cases whose replies and expectations are plain literals."""
    tokens = _tokens(sources("tests", "test-chat.cpp")["test-chat.cpp"])
    tools: dict[str, dict[str, Any]] = {}
    messages: dict[str, dict[str, Any]] = {}
    cases: list[ChatCase] = []
    template = ""
    reader = _Reader(tokens)
    for i, token in enumerate(tokens):
        match token, tokens[i + 1 : i + 3]:
            case ("word", "common_chat_tool"), [("word", name), ("sign", "{")]:
                reader.at = i + 3
                values = reader.items("}")
                if len(values) == 3 and all(isinstance(v, str) for v in values):
                    tools[name] = _tool(values[0], values[2] or "{}")
            case ("word", "common_chat_msg"), [("word", name), ("sign", "=")]:
                reader.at = i + 3
                if message := _message(reader.expression(), messages):
                    messages[name] = message
            case ("word", "peg_tester"), [("sign", "("), ("text", path)]:
                template = path.rpartition("/")[2]
            case ("word", "test"), [("sign", "("), _] if tokens[i - 1] == ("sign", "."):
                reader.at = i + 2
                if case := _case(template, reader, tools, messages):
                    cases.append(case)
    return cases


def _case(
    template: str,
    reader: _Reader,
    tools: dict[str, dict[str, Any]],
    messages: dict[str, dict[str, Any]],
) -> ChatCase | None:
    """A case after the bracket of `test(`; None: it isn't plain literals."""
    text = reader.items(")")
    if len(text) != 1 or not isinstance(text[0], str):
        return None
    case = ChatCase(template, text[0])
    while reader.sign("."):
        name = reader.tokens[reader.at][1]
        reader.at += 2
        values = reader.items(")")
        first: Any = values[0] if values else None
        match name:
            case "tools":
                if not all(isinstance(each, _Call) and each.name in tools for each in first):
                    return None
                case.tools = [tools[each.name] for each in first]
            case "expect":
                message = _message(first, messages)
                if message is None:
                    return None
                case.content, case.reasoning = message["content"], message["reasoning"]
                case.calls = message["calls"]
            case "expect_content":
                case.content = first
            case "expect_reasoning":
                case.reasoning = first
            case "expect_tool_calls":
                case.calls = [(each[0], each[1]) for each in first]
            case "run":
                texts: list[Any] = [case.content, case.reasoning]
                return case if all(isinstance(each, str) for each in texts) else None
            case _:
                case.options[name] = first.name if isinstance(first, _Call) else str(first)
    return None
