"""Grammars of calls that are written between marks, as Lark's for llguidance.

A grammar is a list of nodes, each an object with one key:

    {"mark": text}            the text, with the model's control tokens where it has such
    {"text": mark}            any text, up to the mark and with it
    {"json": schema}          a value
    {"rendered": schema}      a value as templates render it: one space after commas and colons
    {"space": null}           white space, one character at most
    {"any": [grammar, …]}     one of these
    {"maybe": grammar}        this or nothing
"""

import json
from collections.abc import Callable
from typing import Any

from appliance.worker.constraints import json_schema

Node = dict[str, Any]


def to_lark(grammar: list[Node], control_tokens: Callable[[str], list[int | str]]) -> str:
    """
    Args:
        grammar: see above.
        control_tokens: a text as the model has it: its control tokens, and the text between them.

    Raises:
        ValueError: a schema can't be used.
    """
    writer = _Writer(control_tokens)
    start = writer.grammar(grammar)
    return "\n".join([f"start: {start}", *writer.rules, ""])


class _Writer:
    def __init__(self, control_tokens: Callable[[str], list[int | str]]) -> None:
        self._control_tokens = control_tokens
        self.rules: list[str] = [r"space: /[ \n]?/"]

    def grammar(self, nodes: list[Node]) -> str:
        return " ".join(self._node(*next(iter(node.items()))) for node in nodes) or '""'

    def _node(self, kind: str, value: Any) -> str:
        match kind:
            case "mark":
                return self._mark(value)
            case "text":
                return self._text(value)
            case "json" | "rendered":
                schema = json.loads(json_schema.prepared(json.dumps(value)))
                if isinstance(schema, dict):
                    schema["x-guidance"] = (
                        json_schema.COMPACT if kind == "json" else json_schema.AS_RENDERED
                    )
                return self._rule("", f"%json {json.dumps(schema)}")
            case "any":
                return "(" + " | ".join(self.grammar(each) for each in value) + ")"
            case "maybe":
                return f"({self.grammar(value)})?"
        return "space"

    def _mark(self, text: str) -> str:
        return " ".join(map(_part, self._control_tokens(text)))

    def _text(self, mark: str) -> str:
        first, *rest = self._control_tokens(mark)
        if isinstance(first, int):  # which no text has
            return self._rule("", rf"/(.|\n)*/ {self._mark(mark)}")
        text = self._rule(f"[suffix={_part(first)}]", r"/(.|\n)*/")
        return " ".join([text, *map(_part, rest)])

    def _rule(self, attributes: str, body: str) -> str:
        name = f"r{len(self.rules)}"
        self.rules.append(f"{name}{attributes}: {body}")
        return name


def _part(part: int | str) -> str:
    return f"<[{part}]>" if isinstance(part, int) else json.dumps(part, ensure_ascii=False)
