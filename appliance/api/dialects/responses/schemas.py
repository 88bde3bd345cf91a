"""The request and the response of OpenAI's Responses API. Fields that aren't here are ignored."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from appliance.api.generation.conversation import function_tool, named_choice
from appliance.api.generation.sampling import (
    ANY_SEED,
    SEEDS,
    Seed,
    Share,
    Temperature,
    Tokens,
    with_defaults,
)
from appliance.api.wire.lenient import Lenient
from appliance.engine.types import SamplingParams
from appliance.errors import RequestError

TITLE = Meta(min_length=1, max_length=128)
INCLUDED = ("message.output_text.logprobs", "reasoning.encrypted_content")
CUSTOM_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
"""The parameters of a tool that takes any text."""


class ResponseTool(Lenient, kw_only=True, frozen=True):
    """An entry of `tools`, of any type; those that aren't here are left out."""

    type: str
    name: Annotated[str, TITLE] | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    tools: "list[ResponseTool] | None" = None
    """Members of a `namespace`."""


class ResponseToolChoice(Lenient, kw_only=True, frozen=True):
    """A tool, or those that are allowed."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: "list[ResponseToolChoice] | None" = None


class TextFormat(Lenient, kw_only=True, frozen=True):
    """What the text conforms to."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class TextSettings(Lenient, kw_only=True, frozen=True):
    """How the text is to be."""

    format: TextFormat | None = None


class ReasoningSettings(Lenient, kw_only=True, frozen=True):
    """How much a model that can is to think; others ignore it."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: str | None = None


class ResponsesRequest(Lenient, kw_only=True, frozen=True):
    """`POST /v1/responses`."""

    model: str | None = None
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    max_output_tokens: Tokens | None = None
    stream: bool | None = None
    tools: Annotated[list[ResponseTool], Meta(max_length=512)] | None = None
    tool_choice: Literal["auto", "none", "required"] | ResponseToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextSettings | None = None
    reasoning: ReasoningSettings | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: list[str] | None = None
    """What else the response has: `message.output_text.logprobs`, `reasoning.encrypted_content`;
    others are passed over."""
    seed: Seed | None = None
    """Not OpenAI's, as the next one; as in `POST /v1/chat/completions`."""
    reproducible: bool | None = None
    store: bool | None = None
    """False: nothing is kept."""
    previous_response_id: Annotated[str, Meta(max_length=128)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    user: Annotated[str, Meta(max_length=512)] | None = None
    background: bool | None = None
    """The answer comes at once, and the response is looked at later."""

    def sampling(self, most_tokens: int, defaults: Mapping[str, Any]) -> SamplingParams:
        """For the engine; see `sampling.with_defaults`."""
        names = ("temperature", "top_p", "reproducible")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.seed is not None and self.seed != ANY_SEED:
            given["seed"] = self.seed % SEEDS
        schema = None
        format = self.text.format if self.text else None
        if format and format.type == "json_object":
            schema = '{"type": "object"}'
        elif format and format.type == "json_schema":
            if format.schema is None:
                raise RequestError("text.format.schema is missing", param="text.format.schema")
            schema = msgspec.json.encode(format.schema).decode()
        given["json_schema"] = schema
        if self.top_logprobs or self.includes("message.output_text.logprobs"):
            given["logprobs"] = self.top_logprobs or 0
        return with_defaults(given, self.max_output_tokens, most_tokens, defaults)

    def includes(self, what: str) -> bool:
        """Whether the response is to have that."""
        return what in (self.include or ())

    def not_included(self) -> str | None:
        """A sentence about what is asked for and not included; None: there is nothing."""
        names = [name for name in self.include or () if name not in INCLUDED and name.isprintable()]
        return f"not included: {', '.join(dict.fromkeys(names))}" if names else None


class OfferedTools:
    """The functions among the tools of a request."""

    def __init__(self, tools: "Sequence[ResponseTool]" = ()) -> None:
        self.functions: list[dict[str, Any]] = []
        self.left_out: list[str] = []
        """Types of tools that aren't here."""
        self._custom: set[str] = set()
        self._members: dict[str, tuple[str, str]] = {}
        for tool in tools:
            if tool.type == "namespace":
                for member in tool.tools or ():
                    self.add(member, tool.name)
            else:
                self.add(tool, None)

    @classmethod
    def of(cls, response: "ResponseObject") -> "OfferedTools":
        """Those of a response."""
        return cls(msgspec.convert(response.tools, list[ResponseTool]))

    def add(self, tool: ResponseTool, namespace: str | None) -> None:
        """A tool, perhaps of a namespace."""
        if tool.type not in ("function", "custom") or not tool.name:
            self.left_out.append(tool.type if tool.type.isprintable() else "?")
            return
        name = shown_name(tool.name, namespace)
        if namespace:
            self._members[name] = (namespace, tool.name)
        if tool.type == "custom":
            self._custom.add(name)
        parameters = CUSTOM_INPUT if tool.type == "custom" else tool.parameters
        self.functions.append(function_tool(name, tool.description, parameters))

    def is_custom(self, name: str) -> bool:
        """It takes any text."""
        return name in self._custom

    def names_of(self, name: str) -> dict[str, str]:
        """As clients know a function that was called."""
        if name in self._members:
            namespace, own = self._members[name]
            return {"name": own, "namespace": namespace}
        return {"name": name}

    def choose(
        self, choice: Literal["auto", "none", "required"] | ResponseToolChoice | None
    ) -> tuple[list[dict[str, Any]], str | dict[str, Any]]:
        """The functions that may be called, and which must be.

        Raises:
            RequestError: it is none of them.
        """
        if choice is None or isinstance(choice, str):
            if choice == "required" and not self.functions:
                raise RequestError("tool_choice needs tools", param="tool_choice")
            return self.functions, choice or "auto"
        if choice.type == "allowed_tools":
            names = {tool.name for tool in choice.tools or ()}
            allowed = [it for it in self.functions if it["function"]["name"] in names]
            return allowed, choice.mode or "auto"
        if choice.type in ("function", "custom") and choice.name:
            return self.functions, named_choice(choice.name)
        return self.functions, "auto"


def shown_name(name: str, namespace: str | None) -> str:
    """The name of a function, as the model sees it."""
    return f"{namespace}__{name}" if namespace else name


class ResponseFault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    code: str
    message: str


class IncompleteDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Why a response is incomplete."""

    reason: Literal["max_output_tokens"]


class InputTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Details of the prompt's tokens."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Details of the reply's tokens."""

    reasoning_tokens: int


class ResponseUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]


class ResponseObject(msgspec.Struct, frozen=True, kw_only=True):
    """A response, with what was asked for."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: ResponseStatus = "in_progress"
    error: ResponseFault | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    model: str
    output: list[dict[str, Any]] = []
    """Items: `message`, `reasoning`, `function_call`, `custom_tool_call`."""
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, Any]
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: Any
    tools: list[Any]
    top_p: float | None
    truncation: str
    usage: ResponseUsage | None = None
    user: str | None
    metadata: dict[str, str]
    background: bool = False
    service_tier: str = "default"
    top_logprobs: int = 0
    max_tool_calls: int | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    presence_penalty: float = 0
    frequency_penalty: float = 0


class DeletedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a deletion."""

    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class ResponseQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query of `GET /v1/responses/{id}`."""

    stream: bool = False
    """Its events; only of one that was created with `background` and `stream`."""
    starting_after: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    """The number of the last event that is not sent."""


class ItemsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The query of `GET …/input_items`."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: Annotated[str, Meta(max_length=128)] = ""


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """Items that came with a request."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class InputTokens(msgspec.Struct, frozen=True, kw_only=True):
    """The response to `POST /v1/responses/input_tokens`."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


class CompactRequest(Lenient, kw_only=True, frozen=True):
    """`POST /v1/responses/compact`."""

    model: str | None = None
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: Annotated[str, Meta(max_length=128)] | None = None


class CompactedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation made shorter: the input of what goes on from it."""

    id: str
    created_at: int
    object: Literal["response.compaction"] = "response.compaction"
    output: list[dict[str, Any]]
    """The messages of users, and an item `compaction`."""
    usage: ResponseUsage
