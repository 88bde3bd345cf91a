"""What is wrong with a setting, in the words of whoever wrote it: key, what is allowed, source."""

import re

import msgspec
from msgspec.inspect import (
    BoolType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    StrType,
    StructType,
    VarTupleType,
)

from appliance.errors import ConfigError

_COMPLAINT = re.compile(
    r"(?:Object (?P<fault>contains unknown|missing required) field `(?P<key>.*?)`)?"
    r".*?(?: - at `\$\.?(?P<path>[^`]*)`)?",
    re.DOTALL,
)
"""What msgspec says about a value that it refuses."""


def explain(complaint: str, source: str, root: type) -> ConfigError:
    """msgspec's complaint in the words of the file: key, what is allowed, source.

    The value itself is not repeated: a line about a setting may end in a log.
    """
    found = _COMPLAINT.fullmatch(complaint)
    path = (found and found["path"]) or ""
    if not found or not found["fault"]:
        return ConfigError(f"{path}: needs {_allowed(_type_at(path, root))} ({source})", param=path)
    name = found["key"]
    if not name or not name.isprintable():
        name = repr(name)
    key = f"{path}.{name}" if path else name
    if found["fault"] == "missing required":
        return ConfigError(f"{key}: is missing ({source})", param=key)
    table = _type_at(path, root)
    known = [field.name for field in table.fields] if isinstance(table, StructType) else []
    return ConfigError(
        f"{key}: there is no such key ({source}); there are {', '.join(known)}", param=key
    )


def _type_at(path: str, root: type) -> msgspec.inspect.Type:
    """The type of the setting that `path` names, such as `models.available_models[0].id`."""
    found: msgspec.inspect.Type = msgspec.inspect.type_info(root)
    for name in re.findall(r"[a-z]\w*|\[", path):
        if isinstance(found, VarTupleType):
            found = found.item_type
        elif isinstance(found, StructType):
            found = next(field.type for field in found.fields if field.name == name)
    return found


def _allowed(wanted: msgspec.inspect.Type) -> str:
    match wanted:
        case IntType(ge=low, le=None):
            return f"a whole number from {low} on"
        case IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case FloatType(ge=low, le=high):
            return f"a number from {low} to {high}"
        case BoolType():
            return "true or false"
        case LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case Metadata(extra_json_schema={"description": words}):
            return str(words)
        case StrType(pattern=pattern) if pattern and pattern.startswith("^/"):
            return "a path such as /metrics"
        case StrType(min_length=1):
            return "a text that is not empty"
        case StrType():
            return "a text"
        case VarTupleType():
            return "a list"
        case _:
            return "a table"
