"""Ollama's requests. Fields that aren't here are ignored, as its server does."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from appliance.api.dialects.ollama.context import Said, unpacked
from appliance.api.dialects.ollama.options import params_of
from appliance.api.generation.conversation import Conversation, function_tool, tool_call
from appliance.api.wire.lenient import Lenient
from appliance.engine.types import ChatPrompt, SamplingParams
from appliance.errors import RequestError
from appliance.models.local.ollama_options import OllamaOptions
from appliance.store.callers.derived_models import DerivedModel

KeepAlive = Annotated[float, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(max_length=64)]
Think = bool | Literal["low", "medium", "high", "max"]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
Limit = Annotated[int, Meta(ge=1, le=2**31 - 1)]
ToolTitle = Annotated[str, Meta(max_length=128)]


class NamedModel(Lenient, kw_only=True, frozen=True):
    """A request about a model."""

    model: str | None = None
    name: str | None = None
    """The old name of `model`."""

    def asked(self) -> str:
        """The model's name as it was sent.

        Raises:
            RequestError: there is none.
        """
        found = self.model or self.name
        if not found:
            raise RequestError("model is required", param="model")
        return found


class ShowRequest(NamedModel, kw_only=True, frozen=True):
    """`POST /api/show`."""

    verbose: bool | None = None
    """Long lists aren't shown either way."""


class OllamaPullRequest(NamedModel, kw_only=True, frozen=True):
    """`POST /api/pull`."""

    stream: bool | None = None
    insecure: bool | None = None


class DeleteRequest(NamedModel, kw_only=True, frozen=True):
    """`DELETE /api/delete`."""


class CopyRequest(Lenient, kw_only=True, frozen=True):
    """`POST /api/copy`."""

    source: Annotated[str, Meta(min_length=1)]
    destination: Annotated[str, Meta(min_length=1)]


class KeptModel(NamedModel, kw_only=True, frozen=True):
    """A request that a model is loaded for."""

    options: dict[str, Any] | None = None
    keep_alive: KeepAlive | None = None
    """Seconds, or a duration such as `5m`; negative: for ever, 0: until the reply is there."""


class OllamaGenerationRequest(KeptModel, kw_only=True, frozen=True):
    """What both have that generate."""

    stream: bool | None = None
    """True unless it says otherwise."""
    format: str | dict[str, Any] | None = None
    """`json`, or a JSON schema."""
    think: Think | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    truncate: bool | None = None
    """False: a prompt that is too long is refused, rather than cut."""
    shift: bool | None = None

    def sampling(
        self, options: OllamaOptions, most_tokens: int, defaults: Mapping[str, Any]
    ) -> SamplingParams:
        """For the engine; see `sampling.with_defaults`.

        Raises:
            RequestError: `format` is neither.
        """
        schema = None
        if isinstance(self.format, dict):
            schema = msgspec.json.encode(self.format).decode()
        elif self.format == "json":
            schema = '{"type": "object"}'
        elif self.format:
            raise RequestError("format needs json, or a JSON schema", param="format")
        logprobs = (self.top_logprobs or 0) if self.logprobs else None
        return params_of(options, most_tokens, defaults, json_schema=schema, logprobs=logprobs)

    @property
    def effort(self) -> str | None:
        """As OpenAI names it."""
        if isinstance(self.think, bool):
            return "medium" if self.think else "none"
        return self.think


class OllamaFunctionCall(Lenient, kw_only=True, frozen=True):
    """A function and its arguments, an object."""

    name: str
    arguments: dict[str, Any] | None = None


class OllamaToolCall(Lenient, kw_only=True, frozen=True):
    """A call of the model's."""

    function: OllamaFunctionCall
    id: str | None = None
    type: str | None = None


class OllamaMessage(Lenient, kw_only=True, frozen=True):
    """A message."""

    role: Annotated[str, Meta(max_length=32)]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[OllamaToolCall] | None = None
    tool_name: str | None = None
    name: str | None = None
    """The old name of `tool_name`."""
    tool_call_id: str | None = None


class OllamaFunction(Lenient, kw_only=True, frozen=True):
    """A function that the model may call."""

    name: ToolTitle
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OllamaTool(Lenient, kw_only=True, frozen=True):
    """An entry of `tools`."""

    function: OllamaFunction
    type: str | None = None


class ChatRequest(OllamaGenerationRequest, kw_only=True, frozen=True):
    """`POST /api/chat`."""

    messages: list[OllamaMessage] | None = None
    """None: the model is loaded, or unloaded if `keep_alive` is 0."""
    tools: Annotated[list[OllamaTool], Meta(max_length=512)] | None = None

    def conversation(self, made: DerivedModel | None) -> Conversation:
        """The messages, in order, behind those that the model was made with.

        Raises:
            RequestError: one of them can't be shown to a model.
        """
        own = self.messages and self.messages[0].role.lower() == "system"
        found = begun_by(made, system="" if own else None)
        for i, message in enumerate(self.messages or ()):
            self._add(found, message, f"messages[{i}]")
        return found

    def _add(self, found: Conversation, message: OllamaMessage, path: str) -> None:
        refuse_images(message.images, f"{path}.images")
        content = message.content or ""
        match message.role.lower():
            case "system":
                found.system(content)
            case "user":
                found.user(content)
            case "assistant":
                calls = [
                    tool_call(
                        call.id or f"{path}.{n}", call.function.name, call.function.arguments or {}
                    )
                    for n, call in enumerate(message.tool_calls or ())
                ]
                found.assistant(content, reasoning=message.thinking or "", calls=calls)
            case "tool":
                found.tool(self._answered(found, message), content)
            case _:
                raise RequestError(
                    f"{path}.role needs system, user, assistant or tool", param=f"{path}.role"
                )

    def _answered(self, found: Conversation, message: OllamaMessage) -> str:
        """The id of the call that a result belongs to: by id, by name, or else the next in line."""
        if message.tool_call_id:
            return message.tool_call_id
        call = found.unanswered(message.tool_name or message.name) or found.unanswered()
        return call.id if call else ""

    def prompt(self, conversation: Conversation) -> ChatPrompt:
        """For the engine."""
        tools = [
            function_tool(it.function.name, it.function.description, it.function.parameters)
            for it in self.tools or ()
        ]
        return ChatPrompt(
            conversation.messages(),
            parse_output=True,
            tools=tools or None,
            effort=self.effort,
            effort_is_wish=True,
            continue_final=conversation.ends_with_beginning,
            trim=self.truncate is not False,
        )


ROLES = ("system", "user", "assistant")
_NOT_MADE = {
    "files": "pull a GGUF file, or put it into the folder of models, and name it in from",
    "adapters": "adapters are not supported",
    "quantize": "files are used as they are; pull the model in the quantization that you want",
    "modelfile": "send from, system and parameters instead",
    "path": "send from, system and parameters instead",
}
"""Fields of `CreateRequest` that can't be kept to."""


class CreateRequest(NamedModel, kw_only=True, frozen=True):
    """`POST /api/create`."""

    origin: str | None = msgspec.field(default=None, name="from")
    """A model that is here."""
    system: str | None = None
    parameters: dict[str, Any] | None = None
    """As `options` of a request."""
    messages: list[OllamaMessage] | None = None
    """That every chat begins with."""
    license: str | list[str] | None = None
    template: str | None = None
    stream: bool | None = None
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    quantize: str | None = None
    modelfile: str | None = None
    path: str | None = None

    @property
    def licence(self) -> str:
        """As one text."""
        texts = [self.license] if isinstance(self.license, str) else self.license or []
        return "\n\n".join(texts)

    def check(self) -> None:
        """
        Raises:
            RequestError: it wants what can't be done here.
        """
        for name, why in _NOT_MADE.items():
            if getattr(self, name):
                raise RequestError(f"{name}: {why}", param=name)
        if not self.origin:
            raise RequestError("from is missing: the name of a model that is here", param="from")
        if self.template:
            raise RequestError(NO_TEMPLATE, param="template")
        for number, message in enumerate(self.messages or ()):
            path = f"messages[{number}]"
            refuse_images(message.images, f"{path}.images")
            if message.role.lower() not in ROLES:
                raise RequestError(f"{path}.role needs {', '.join(ROLES)}", param=f"{path}.role")


NO_TEMPLATE = "template: the model file's own is used, which is no template of Go's"


class GenerateRequest(OllamaGenerationRequest, kw_only=True, frozen=True):
    """`POST /api/generate`."""

    prompt: str | None = None
    """Empty: the model is loaded, or unloaded if `keep_alive` is 0."""
    system: str | None = None
    raw: bool | None = None
    """The prompt is continued as it stands."""
    images: list[str] | None = None
    suffix: str | None = None
    template: str | None = None
    context: list[Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]] | None = None

    def check(self) -> None:
        """
        Raises:
            RequestError: it wants what isn't here.
        """
        refuse_images(self.images, "images")
        if self.template:
            raise RequestError(NO_TEMPLATE, param="template")
        for name, what in (("system", "system prompt"), ("context", "context")):
            if self.raw and getattr(self, name):
                raise RequestError(f"a raw prompt has no {what} beside it", param=name)

    def so_far(self, most: int) -> list[Said]:
        """The chat that `context` stands for, and the prompt; `most`: characters of it.

        Raises:
            RequestError: it is not of this server.
        """
        return [
            *(unpacked(self.context, most) if self.context else ()),
            ("user", self.prompt or ""),
        ]

    def prompt_of_chat(self, so_far: list[Said], made: DerivedModel | None) -> ChatPrompt:
        """For the engine, by the model's chat template."""
        conversation = begun_by(made, system=self.system)
        for role, text in so_far:
            if role == "assistant":
                conversation.assistant(text)
            else:
                conversation.user(text)
        return ChatPrompt(
            conversation.messages(),
            parse_output=True,
            effort=self.effort,
            effort_is_wish=True,
            trim=self.truncate is not False,
        )


Texts = str | Annotated[list[str], Meta(max_length=2048)]


class OllamaEmbedRequest(KeptModel, kw_only=True, frozen=True):
    """`POST /api/embed`."""

    input: Texts | None = None
    truncate: bool | None = None
    """False: an input that is too long is refused, rather than cut."""
    dimensions: Limit | None = None
    """Vectors are cut to as many, and made of length 1 again."""


class OldEmbedRequest(KeptModel, kw_only=True, frozen=True):
    """`POST /api/embeddings`."""

    prompt: str | None = None


def begun_by(made: DerivedModel | None, system: str | None) -> Conversation:
    """A chat that begins as the model was made to; `system`: in place of its own."""
    found = Conversation()
    found.system(system if system is not None else made.system if made else "")
    for message in made.messages if made else ():
        match message.role:
            case "system":
                found.system(message.content)
            case "assistant":
                found.assistant(message.content)
            case _:
                found.user(message.content)
    return found


def refuse_images(images: list[str] | None, path: str) -> None:
    """
    Raises:
        RequestError: there are some.
    """
    if images:
        raise RequestError(f"{path}: this model cannot see images", param=path)
