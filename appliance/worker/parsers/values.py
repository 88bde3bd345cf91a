"""Values of arguments that models write as text between marks, as JSON. Pure Python."""

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

_MAX_LITERAL = 100_000
"""Characters of a value that is tried as one of Python's."""
_NAMES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
_ALL = frozenset(_NAMES.values())
_MAX_INSIDE = 100
"""Times that a string may have the mark in it."""
_DEPTH = 8
"""Schemas in each other that are looked into for a type."""


def types_of(tool: Mapping[str, Any] | None, key: str) -> frozenset[str]:
    """The JSON types that a tool's argument may have; all of them if the schema has no type."""
    parameters = (tool or {}).get("function", {}).get("parameters")
    if not isinstance(parameters, Mapping):
        return _ALL
    properties = parameters.get("properties")
    schema = properties.get(key) if isinstance(properties, Mapping) else None
    return frozenset(_types(schema, parameters, _DEPTH)) or _ALL


def _types(schema: Any, root: Mapping[str, Any], depth: int) -> Iterator[str]:
    if not isinstance(schema, Mapping) or not depth:
        yield from _ALL
        return
    given = schema.get("type")
    reference = schema.get("$ref")
    if isinstance(given, str | list):
        listed = given if isinstance(given, list) else [given]
        yield from (each for each in listed if isinstance(each, str) and each in _ALL)
    elif "const" in schema or isinstance(schema.get("enum"), list):
        for value in [schema["const"]] if "const" in schema else schema["enum"]:
            yield _NAMES.get(type(value), "string")
    elif isinstance(reference, str) and reference.startswith("#/"):
        target: Any = root
        for step in reference.split("/")[1:]:
            target = target.get(step) if isinstance(target, Mapping) else None
        yield from _types(target, root, depth - 1)
    else:
        yield from _implied(schema, root, depth)


def _implied(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The implied types of a schema without a type."""
    key = next((key for key in ("anyOf", "oneOf", "allOf") if schema.get(key)), "")
    inner = schema.get(key)
    if isinstance(inner, list):
        for each in inner[:1] if key == "allOf" else inner:
            yield from _types(each, root, depth - 1)
    elif "properties" in schema:
        yield "object"
    elif "items" in schema:
        yield "array"
    else:
        yield from _ALL


def as_json(text: str, types: frozenset[str]) -> str:
    """The JSON of a value that was written as `text`: JSON if that is of one of the types, Python's
    notation likewise, and otherwise a string."""
    bare = text.strip()
    try:
        if _fits(json.loads(bare), types):
            return bare
    except (ValueError, RecursionError):
        value = literal(bare)
        if value is not ... and _fits(value, types - {"string"}):
            return json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False)


def nested(text: str, opening: str, closing: str) -> Any:
    """The value of elements in each other, as MiniMax M3 writes them: `item` is of a list.

    Args:
        text: what stands between the marks of the outermost.
        opening: up to the name of an element.
        closing: the same of its end.
    """
    element = re.compile(rf"{re.escape(opening)}([\w.\-]+)>(.*?){re.escape(closing)}\1>", re.DOTALL)
    found = element.findall(text)
    if not found:
        value = literal(text.strip())
        return text if value is ... else value
    if all(name == "item" for name, _ in found):
        return [nested(inner, opening, closing) for _, inner in found]
    return {name: nested(inner, opening, closing) for name, inner in found}


def literal(text: str) -> Any:
    """The value of Python's (or JSON's) notation; an ellipsis for what is none."""
    if len(text) > _MAX_LITERAL:
        return ...
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            value = ast.literal_eval(text)
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        # Models write lines into strings as they are.
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
        return text[1:-1] if quoted else ...
    return list(value) if isinstance(value, tuple) else value


def _fits(value: Any, types: frozenset[str]) -> bool:
    name = _NAMES.get(type(value), "")
    return name in types or (name == "integer" and "number" in types)


def end_of_json(text: str, end: str) -> int:
    """Where the mark after a value is, and not in one of its strings; -1: it hasn't come."""
    if end not in text or text[:9].lstrip()[:1] not in ("{", "["):
        return text.find(end)
    quotes = inside = 0
    for found in re.finditer(rf'\\.|"|{re.escape(end)}', text, re.DOTALL):
        if found.group() == end:
            if quotes % 2 == 0 or inside == _MAX_INSIDE:
                return found.start()
            inside += 1
        quotes += found.group() == '"'
    return -1


def escaped(text: str) -> str:
    """As it stands in a string of JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
