"""JSON schemas of calls, for grammars that force the model to make one. Pure Python."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from appliance.errors import RequestError

Tool = Mapping[str, Any]
"""`{"type": "function", "function": {"name": …, "parameters": schema}}`, as OpenAI has it."""
Choice = Literal["auto", "none", "required"] | Mapping[str, Any]
"""`{"type": "function", "function": {"name": …}}` names the one to call."""

_NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}
_DEFINITIONS = ("$defs", "definitions")


def chosen_tools(tools: Sequence[Tool], choice: Choice) -> list[Tool]:
    """The tools that a choice other than `auto` and `none` allows; at least one.

    Raises:
        RequestError: there is none; `param` is `tool_choice`.
    """
    if not tools:
        raise RequestError("tool_choice wants a call, but there are no tools", param="tool_choice")
    if not isinstance(choice, Mapping):
        return list(tools)
    name = choice["function"]["name"]
    chosen = [tool for tool in tools if tool["function"]["name"] == name]
    if not chosen:
        raise RequestError(f"tool_choice names {name!r}, which is not a tool", param="tool_choice")
    return chosen[:1]


def arguments_schema(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments alone.

    Raises:
        RequestError: see `call_schema`.
    """
    definitions: dict[str, Any] = {}
    schema = _Part(tool, "tool", definitions).schema
    return schema | {"$defs": definitions} if definitions else schema


def call_schema(
    tools: Sequence[Tool], key: str = "arguments", name_key: str = "name"
) -> dict[str, Any]:
    """The schema of a call of one of `tools`: `{name_key: …, key: {…}}`, the name first.

    What a tool's schema refers to moves to the `$defs` of the whole, under names that no two share.

    Raises:
        RequestError: a reference leads nowhere, or to another document; `param` is `tools`.
    """
    definitions: dict[str, Any] = {}
    calls = [
        {
            "type": "object",
            "properties": {
                name_key: {"const": tool["function"]["name"]},
                key: _Part(tool, f"tool{index}", definitions).schema,
            },
            "required": [name_key, key],
            "additionalProperties": False,
        }
        for index, tool in enumerate(tools)
    ]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return schema | {"$defs": definitions} if definitions else schema


class _Part:
    """The schema of a tool's arguments, which was a document and becomes part of another."""

    def __init__(self, tool: Tool, name: str, definitions: dict[str, Any]) -> None:
        self._root: Mapping[str, Any] = tool["function"].get("parameters") or _NO_ARGUMENTS
        self._name = name
        self._definitions = definitions
        self._moved: dict[str, str] = {}
        self.schema: dict[str, Any] = self._copy(self._target("#"))

    def _copy(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._copy(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        copy = {key: self._copy(item) for key, item in value.items()}
        if isinstance(copy.get("$ref"), str):
            copy["$ref"] = self._move(copy["$ref"])
        return copy

    def _move(self, reference: str) -> str:
        if reference not in self._moved:
            name = f"{self._name}-{len(self._moved)}"
            self._moved[reference] = f"#/$defs/{name}"
            self._definitions[name] = self._copy(self._target(reference))
        return self._moved[reference]

    def _target(self, reference: str) -> Any:
        if reference == "#":
            return {k: v for k, v in self._root.items() if k not in _DEFINITIONS}
        start, *path = reference.split("/")
        target: Any = self._root
        for step in path:
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        if start != "#" or target is None:
            raise RequestError(f"a tool's schema refers to {reference!r}: not there", param="tools")
        return target
