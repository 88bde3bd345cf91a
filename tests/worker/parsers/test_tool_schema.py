"""Forced calls: the schema that constrains the model."""

import json
from typing import Any

import pytest

from appliance.errors import RequestError
from appliance.worker.parsers.base import ToolCallArguments, ToolCallBegan, merge_parts
from appliance.worker.parsers.detect import OutputFormat
from appliance.worker.parsers.known import HERMES
from appliance.worker.parsers.tool_schema import arguments_schema, call_schema
from tests.worker.parsers.replies import KNOWN, style

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    function = {"name": name} | ({"parameters": parameters} if parameters else {})
    return {"type": "function", "function": function}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


TOOLS = [tool("weather", CITY), tool("time")]


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_free_choice_binds_nothing(choice: Any) -> None:
    assert OutputFormat(HERMES).forced(TOOLS, choice, "") is None


@pytest.mark.parametrize("format", [None, *KNOWN, "harmony"])
@pytest.mark.parametrize("prompt", ["…assistant\n", "…assistant\n<think>\n"])
@pytest.mark.parametrize("choice", ["required", named("weather")])
def test_a_forced_reply_is_read_as_the_call(format: str | None, prompt: str, choice: Any) -> None:
    written = style(format, think=format != "harmony")
    forced = written.forced(TOOLS, choice, prompt)
    assert forced
    reply = '{"city": "Ulm"}'
    if isinstance(forced.schema, list):
        assert {"mark": "weather[ARGS]"} in forced.schema[0]["any"][0]
        reply = f"weather[ARGS]{reply}"
    elif forced.schema != CITY:
        call = next(iter(forced.schema.get("anyOf", [forced.schema])))
        assert call["properties"]["name"] == {"const": "weather"}
        key = call["required"][1]
        assert call["properties"][key] == CITY
        reply = f'{{"name": "weather", "{key}": {reply}}}'
    parser = written.parser(prompt, TOOLS, forced)
    pieces = merge_parts([*parser.feed(reply), *parser.finish()])
    began, arguments = pieces
    assert isinstance(began, ToolCallBegan)
    assert began.name == "weather"
    assert arguments == ToolCallArguments(0, '{"city": "Ulm"}')


def test_a_tool_without_parameters_takes_none() -> None:
    schema = call_schema([tool("time")])
    assert list(schema["properties"]) == ["name", "arguments"]
    assert schema["properties"]["arguments"]["properties"] == {}


@pytest.mark.parametrize(("tools", "choice"), [([], "required"), (TOOLS, named("date"))])
def test_what_cannot_be_chosen_is_refused(tools: list[Any], choice: Any) -> None:
    with pytest.raises(RequestError) as caught:
        OutputFormat(HERMES).forced(tools, choice, "")
    assert caught.value.param == "tool_choice"


def resolved(schema: Any, root: dict[str, Any], depth: int = 5) -> Any:
    """The schema with its references followed, `depth` levels of them."""
    if isinstance(schema, list):
        return [resolved(item, root, depth) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#").split("/")[1:]:
            target = target[step]
        return resolved(target, root, depth - 1) if depth else "…"
    return {k: resolved(v, root, depth) for k, v in schema.items() if k != "$defs"}


def test_references_of_several_tools_still_lead_where_they_did() -> None:
    def tree(leaf: str) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"top": {"$ref": "#/$defs/node"}, "again": {"$ref": "#"}},
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {
                        "leaf": {"$ref": "#/$defs/le~1af"},
                        "next": {"$ref": "#/$defs/node"},
                    },
                },
                "le/af": {"type": leaf},
            },
        }

    schema = call_schema([tool("a", tree("string")), tool("b", tree("number"))])
    for call, leaf in zip(schema["anyOf"], ["string", "number"], strict=True):
        arguments = resolved(call["properties"]["arguments"], schema)
        assert arguments["properties"]["top"]["properties"]["leaf"] == {"type": leaf}
        below = arguments["properties"]["top"]["properties"]["next"]
        assert below["properties"]["leaf"] == {"type": leaf}
        again = arguments["properties"]["again"]
        assert again["properties"]["top"]["properties"]["leaf"] == {"type": leaf}
    assert len({name.rpartition("/")[2] for name in schema["$defs"]}) == len(schema["$defs"])
    json.dumps(schema)


@pytest.mark.parametrize("reference", ["#/$defs/gone", "other.json#/x", "file.json"])
def test_a_reference_to_nowhere_is_refused(reference: str) -> None:
    broken = tool("a", {"type": "object", "properties": {"x": {"$ref": reference}}})
    for schema_of in (arguments_schema, lambda tool: call_schema([tool])):
        with pytest.raises(RequestError) as caught:
            schema_of(broken)
        assert caught.value.param == "tools"
