"""llama.cpp's own tests of grammars and schemas, read from its C++ in the source archive of the
pinned llama-cpp-python; no copy is stored here."""

import ast
import re
from dataclasses import dataclass, field

from tests.worker.llama_sources import sources

_TOKEN = re.compile(
    r'R"(?P<mark>[^(\s]*)\((?P<raw>.*?)\)(?P=mark)"'  # a raw string
    r'|(?P<text>"(?:[^"\\\n]|\\.)*")'
    r"|//[^\n]*|/\*.*?\*/"
    r"|(?P<sign>[(){},;])"
    r"|(?P<word>\w+)",
    re.DOTALL,
)


@dataclass
class Case:
    """A grammar or a schema, and texts that match or don't."""

    name: str
    text: str
    fits: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)


def _source(name: str) -> str:
    return sources("tests", name)[name]


def _tokens(source: str) -> list[tuple[str, str]]:
    """Punctuation, words and strings; adjacent strings are joined."""
    found: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(source):
        if match["raw"] is not None or match["text"]:
            text = match["raw"] if match["raw"] is not None else _decoded(match["text"])
            if found and found[-1][0] == "text":
                found[-1] = ("text", found[-1][1] + text)
            else:
                found.append(("text", text))
        elif match["sign"]:
            found.append(("sign", match["sign"]))
        elif match["word"]:
            found.append(("word", match["word"]))
    return found


def _decoded(literal: str) -> str:
    """The value of a C++ literal; like Python's, but its bytes are UTF-8."""
    value = ast.literal_eval(f"b{literal}") if literal.isascii() else literal[1:-1].encode()
    if "\\u" in literal or "\\U" in literal:
        return str(ast.literal_eval(literal))
    return bytes(value).decode("utf-8", "surrogateescape")


def _arguments(tokens: list[tuple[str, str]], at: int) -> list[str | list[str]]:
    """The arguments of the call whose opening bracket is at `at`: strings, and lists of strings."""
    found: list[str | list[str]] = []
    depth = 0
    for kind, text in tokens[at:]:
        if kind == "sign" and text in "({":
            depth += 1
            if text == "{":
                found.append([])
        elif kind == "sign" and text in ")}":
            depth -= 1
            if not depth:
                break
        elif kind == "text":
            last = found[-1] if found else None
            if depth > 1 and isinstance(last, list):
                last.append(text)
            else:
                found.append(text)
    return found


def _calls(source: str, name: str) -> list[list[str | list[str]]]:
    tokens = _tokens(source)
    return [
        _arguments(tokens, i + 1)
        for i in range(len(tokens) - 1)
        if tokens[i] == ("word", name) and tokens[i + 1] == ("sign", "(")
    ]


def matched(function: str) -> list[Case]:
    """The cases of `test_grammar` or `test_schema` in test-grammar-integration.cpp."""
    cases = []
    for arguments in _calls(_source("test-grammar-integration.cpp"), function):
        match arguments:
            case [str(name), str(text), list(fits), list(differs)]:
                cases.append(Case(name, text, fits, differs))
    return cases


def schemas() -> list[tuple[str, str, bool]]:
    """Cases of test-json-schema-to-grammar.cpp: name, schema, and whether it must be accepted."""
    tokens = _tokens(_source("test-json-schema-to-grammar.cpp"))
    found = []
    for i, token in enumerate(tokens):
        if token in (("word", "SUCCESS"), ("word", "FAILURE")) and tokens[i + 2][0] == "text":
            texts = [text for kind, text in tokens[i + 1 : i + 6] if kind == "text"]
            if texts[1].strip():
                found.append((texts[0], texts[1], token[1] == "SUCCESS"))
    return found
