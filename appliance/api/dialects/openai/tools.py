"""The tools of OpenAI's requests. Fields that aren't here are ignored."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from appliance.api.wire.lenient import Lenient
from appliance.errors import RequestError

MAX_DEPTH = 100
"""Maximum depth of a tool's schema."""
MOST_TOOLS = 512
ToolName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


class FunctionIn(Lenient, kw_only=True, frozen=True):
    """A function that the model may call."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def check(self, path: str) -> None:
        """Raises RequestError: its schema is nested too deep."""
        level: list[Any] = [self.parameters]
        for _ in range(MAX_DEPTH):
            level = [
                inner
                for value in level
                if isinstance(value, dict | list)
                for inner in (value.values() if isinstance(value, dict) else value)
            ]
        if level:
            param = f"{path}.parameters"
            raise RequestError(f"{param} is nested more than {MAX_DEPTH} deep", param=param)


class ToolIn(Lenient, kw_only=True, frozen=True):
    """An entry of `tools`."""

    type: Literal["function"]
    function: FunctionIn


class FunctionName(Lenient, kw_only=True, frozen=True):
    """Names a function."""

    name: str


class NamedTool(Lenient, kw_only=True, frozen=True, tag="function", tag_field="type"):
    """A `tool_choice` that names the function."""

    function: FunctionName


class AllowedTools(Lenient, kw_only=True, frozen=True):
    """The tools that may be called, and whether one must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Meta(min_length=1, max_length=MOST_TOOLS)]


class AllowedToolChoice(Lenient, kw_only=True, frozen=True, tag="allowed_tools", tag_field="type"):
    """A `tool_choice` that restricts the tools."""

    allowed_tools: AllowedTools


Tools = Annotated[list[ToolIn], Meta(max_length=MOST_TOOLS)]
ToolChoice = Literal["auto", "none", "required"] | NamedTool | AllowedToolChoice


def permitted(tools: list[ToolIn], choice: ToolChoice) -> tuple[list[ToolIn], str | NamedTool]:
    """The tools that may be called, and which must be.

    Raises:
        RequestError: an allowed tool is unknown.
    """
    if not isinstance(choice, AllowedToolChoice):
        return tools, choice
    names = {tool.function.name for tool in choice.allowed_tools.tools}
    if unknown := sorted(names - {tool.function.name for tool in tools}):
        raise RequestError(
            f"tool_choice allows {unknown[0]!r}, which is not a tool", param="tool_choice"
        )
    allowed = [tool for tool in tools if tool.function.name in names]
    return allowed, choice.allowed_tools.mode
