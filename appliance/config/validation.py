"""Explains why msgspec refused a value, in the terms of its author."""

import re
from typing import Literal

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

_MESSAGE = re.compile(
    r"(?P<message>"
    r"(?:Object (?P<fault>contains unknown|missing required) field `(?P<name>.*?)`)?"
    r".*?)"
    r"(?: - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`)?",
    re.DOTALL,
)


class ValidationFault(msgspec.Struct, frozen=True, kw_only=True):
    """msgspec's message about a value that it refuses, parsed."""

    kind: Literal["unknown", "missing", "wrong"]
    """An unknown name, a name that is missing, or a wrong value."""
    path: str
    """Path of the object with that name, or of the wrong value; empty: the whole document."""
    name: str = ""
    """The unknown or missing name."""
    message: str
    """msgspec's own, without the path."""

    @classmethod
    def parse(cls, text: str) -> "ValidationFault":
        """Parse the text of a `msgspec.ValidationError`."""
        found = _MESSAGE.fullmatch(text)
        assert found  # any text is one
        kind: Literal["unknown", "missing", "wrong"] = "wrong"
        if found["fault"]:
            kind = "missing" if found["fault"] == "missing required" else "unknown"
        return cls(
            kind=kind,
            path=found["path"] or "",
            name=found["name"] or "",
            message=found["message"],
        )

    @property
    def field(self) -> str:
        """The full path of the field at fault."""
        return ".".join(filter(None, (self.path, self.name)))


def describe_validation_error(message: str, source: str, root: type) -> ConfigError:
    """msgspec's message as an error of the configuration: the key, what is allowed, the source.

    The value itself is not repeated: a line about a setting may end in a log.
    """
    fault = ValidationFault.parse(message)
    path, name = fault.path, fault.name
    if fault.kind == "wrong":
        return ConfigError(f"{path}: needs {_allowed(_type_at(path, root))} ({source})", param=path)
    if not name or not name.isprintable():
        name = repr(name)
    key = f"{path}.{name}" if path else name
    if fault.kind == "missing":
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
