"""JSON schemas for llguidance, which keeps to each keyword it takes and refuses others by name.

What it would not keep to is refused here, what means nothing is left out, and replies are compact:
one space at most after a comma or a colon.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from appliance.worker.constraints import numbers, patterns

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MAX_BYTES = 512 * 1024
MAX_DEPTH = 100
"""Schemas, lists and values in each other."""

COMPACT: "JsonCompileOptions" = {
    "item_separator": ", ?",
    "key_separator": ": ?",
    "whitespace_flexible": False,
    "lenient": False,
    "coerce_one_of": False,
}
"""llguidance's options; a schema's own are left out."""
AS_RENDERED: "JsonCompileOptions" = {**COMPACT, "item_separator": ", ", "key_separator": ": "}
"""For calls: the way chat templates write them into the next prompt, so that it has the same text
as the reply, and nothing is computed again."""

_NOTES = {"deprecated", "discriminator", "example", "externalDocs", "xml", "$vocabulary"}
"""Remarks that llguidance doesn't know; it knows JSON schema's others."""
_OF_NAMES = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
"""Keywords whose values have schemas by names."""
_VALUES = {"const", "enum", "default", "examples"}
_COUNTS = {f"{bound}{of}" for bound in ("min", "max") for of in ("Items", "Length", "Properties")}

_LEAP_YEAR = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY = rf"(?:\d{{4}}-(?:0[13-9]|1[0-2]|02-(?:[01]|2[0-8]))|{_LEAP_YEAR}-02-29)"
_SECONDS = "[^:]*:[^:]*:[0-5]"
_FORMATS = {
    "date": {"pattern": f"^{_DAY}"},
    "time": {"pattern": f"^{_SECONDS}"},
    "date-time": {"allOf": [{"pattern": f"^{_DAY}"}, {"pattern": f"^{_SECONDS}"}]},
    "email": {
        "pattern": r"^[^@]{1,64}@(?:[^.@]{1,63}\.)*[^.@]{1,63}$",
        "maxLength": 254,
    },
}
"""What llguidance's formats lack: its years are all leap years, its minutes have 61 seconds, and
names in its addresses are as long as one likes."""


def prepared(text: str) -> str:
    """The schema as llguidance gets it.

    Raises:
        ValueError: it is no schema, too large, or has something that can't be kept to.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES // 1024} KB")
    try:
        schema = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    except ValueError as ex:
        raise ValueError(f"it is no JSON: {ex}") from None
    if not isinstance(schema, dict | bool):
        raise ValueError("it is no JSON schema: an object or a boolean is one")
    if schema is True:
        schema = {}
    if schema is False:
        raise ValueError("nothing conforms to it")
    _check_depth(schema)
    return json.dumps(_schema(schema))


def _check_depth(schema: Any) -> None:
    level = [schema]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _schema(schema: Any) -> Any:
    """A schema, or what stands in the place of one."""
    if isinstance(schema, list):
        return [_schema(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("uniqueItems") is False:
        schema = {name: value for name, value in schema.items() if name != "uniqueItems"}
    _check_names(schema)
    copy = {
        name: _value(name, value)
        for name, value in schema.items()
        if name not in _NOTES and not name.startswith("x-")
    }
    if isinstance(copy.get("format"), str) and (more := _FORMATS.get(copy["format"])):
        copy["allOf"] = [*_list(copy.get("allOf")), more]
    return numbers.as_read(copy)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _value(name: str, value: Any) -> Any:
    if name in _VALUES:
        return value
    if name in _COUNTS and isinstance(value, float) and value.is_integer():
        return int(value)
    if name == "pattern" and isinstance(value, str):
        return patterns.translated(value)
    if name == "patternProperties" and isinstance(value, dict):
        value = {patterns.translated(pattern): schema for pattern, schema in value.items()}
    if name in _OF_NAMES and isinstance(value, dict):
        return {inner: _schema(schema) for inner, schema in value.items()}
    return _schema(value)


def _check_names(schema: dict[str, Any]) -> None:
    """Names that aren't in `properties` may come twice, which counts as once: of those there is one
    for certain, and the rest has to be `required`."""
    least, required = schema.get("minProperties"), schema.get("required")
    certain = len(set(map(str, required))) if isinstance(required, list) else 0
    if isinstance(least, int) and least > certain + 1:
        raise ValueError(f"minProperties can be at most {certain + 1} here: one more than required")
