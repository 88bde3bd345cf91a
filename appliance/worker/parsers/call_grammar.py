"""What a call between marks may be: see `constraints.marked` for the form. Pure Python."""

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.worker.parsers.syntax import HOLE, ArgumentStyle, CallSyntax
from appliance.worker.parsers.tool_schema import Tool, arguments_schema
from appliance.worker.parsers.values import types_of

Node = dict[str, Any]

_KNOWN_KEYWORDS = {"type", "properties", "required", "additionalProperties", "$defs", "definitions"}
_KNOWN_KEYWORDS |= {"description", "title", "$schema", "$id", "examples", "default"}
_TEXT_KEYWORDS = {
    "pattern",
    "format",
    "minLength",
    "maxLength",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "$ref",
}
_SPACE: Node = {"space": None}


def call_grammar(syntax: CallSyntax, tools: Sequence[Tool]) -> list[Node] | None:
    """From behind the mark before a call; None: such a schema can't be kept to in this way.

    Raises:
        RequestError: a schema refers to what isn't there; `param` is `tools`.
    """
    calls = []
    for tool in tools:
        schema = arguments_schema(tool)
        name = {"mark": f"{tool['function']['name']}{syntax.after_name.replace(HOLE, '0')}"}
        if syntax.style is ArgumentStyle.JSON:
            calls.append([name, _SPACE, {"rendered": schema}])
            continue
        arguments = _arguments(syntax, tool, schema)
        if syntax.style is not ArgumentStyle.TAGGED or arguments is None:
            return None
        calls.append([name, _SPACE, *arguments])
    ends = [mark for mark in syntax.call[1].split() if mark]
    closing = [node for mark in ends for node in (_SPACE, {"mark": mark})]
    return [{"any": calls}, *closing]


def _arguments(syntax: CallSyntax, tool: Tool, schema: Mapping[str, Any]) -> list[Node] | None:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if set(schema) - _KNOWN_KEYWORDS or not set(required) <= set(properties):
        return None
    nodes: list[Node] = []
    for key, value in properties.items():
        types = types_of(tool, key)
        is_text = types == {"string"}
        if (not is_text and "string" in types) or not isinstance(value, Mapping):
            return None
        if is_text and _TEXT_KEYWORDS & set(value):
            return None
        written = _argument(syntax, key, value, schema, is_text=is_text)
        nodes += written if key in required else [{"maybe": written}]
    return nodes


def _argument(
    syntax: CallSyntax,
    key: str,
    value: Mapping[str, Any],
    schema: Mapping[str, Any],
    *,
    is_text: bool,
) -> list[Node]:
    opening, to_text, to_other, closing = syntax.argument
    first, last = syntax.padding
    of_type = str(value.get("type", "object"))
    before = to_text if is_text else to_other.replace(HOLE, of_type)
    start = {"mark": f"{opening}{key}{before}{first}"}
    end = f"{last}{closing.replace(HOLE, key)}"
    if not is_text:
        definitions = {k: schema[k] for k in ("$defs", "definitions") if k in schema}
        return [start, {"rendered": {**value, **definitions}}, {"mark": end}, _SPACE]
    allowed = value.get("enum", [value["const"]] if "const" in value else None)
    if allowed is None:
        return [start, {"text": end}, _SPACE]
    texts = [[{"mark": f"{each}{end}"}] for each in allowed if isinstance(each, str)]
    return [start, {"any": texts}, _SPACE]
