"""OpenAI's requests, with the fields that other servers of its API have beside its own.

Fields that aren't here are ignored, and named to the client in a header.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from appliance.api.dialects.openai.formats import (
    Alternatives,
    JsonSchema,
    PlainText,
    ResponseFormat,
    StructuredOutputs,
)
from appliance.api.dialects.openai.messages import MessageIn
from appliance.api.dialects.openai.tools import (
    MOST_TOOLS,
    FunctionIn,
    FunctionName,
    NamedTool,
    ToolChoice,
    ToolIn,
    Tools,
    permitted,
)
from appliance.api.generation.keeping import seconds_of
from appliance.api.generation.sampling import Sampling, Tokens
from appliance.api.wire.lenient import Lenient
from appliance.config.schema import DeviceName
from appliance.engine.types import ChatMessage, ChatPrompt
from appliance.errors import RequestError


class StreamOptions(Lenient, kw_only=True, frozen=True):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = False
    include_obfuscation: bool | None = False
    """Nothing is obfuscated either way."""


class Thinking(Lenient, kw_only=True, frozen=True):
    """How much to think, as OpenRouter's `reasoning` and others' `thinking` have it."""

    effort: str | None = None
    enabled: bool | None = None
    type: str | None = None
    """`enabled`, `disabled`, or another word for as it likes."""

    @property
    def wish(self) -> str | None:
        """As `reasoning_effort`; None: as the model likes."""
        off = self.enabled is False or self.type == "disabled"
        on = self.enabled is True or self.type == "enabled"
        return self.effort or ("none" if off else "medium" if on else None)


Identifier = Annotated[str, Meta(max_length=512)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
"""Tokens; -1: as many as possible."""
KeepAlive = Annotated[float, Meta(ge=-(2**53), le=2**53)] | Annotated[str, Meta(max_length=64)]


_NOT_HERE: Mapping[str, Any] = {
    **dict.fromkeys(("ebnf", "stop_regex", "custom_logit_processor", "lora_path")),
    **dict.fromkeys(("stop_token_ids", "bad_words", "allowed_token_ids", "chat_template")),
    **dict.fromkeys(("truncate_prompt_tokens", "thinking_token_budget", "prompt_logprobs")),
    "min_tokens": 0,
    "no_stop_trim": False,
    "include_stop_str_in_output": False,
    "return_token_ids": False,
    "return_tokens_as_token_ids": False,
    "use_beam_search": False,
    "include_reasoning": True,
    "separate_reasoning": True,
}
"""Of vLLM and SGLang; see `Lenient`."""


class OpenAIRequest(Sampling, kw_only=True, frozen=True, forbid_unknown_fields=False):
    """What chat and text completions have in common."""

    NOT_HERE: ClassVar[Mapping[str, Any]] = _NOT_HERE

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    user: Identifier | None = None
    """The caller's end user, for the log."""
    device: DeviceName | None = None
    """Where the model should run. A response header warns if it runs elsewhere."""
    n: Annotated[int, Meta(ge=1, le=16)] | None = None
    logit_bias: Annotated[dict[str, Bias], Meta(max_length=1024)] | None = None
    grammar: Annotated[str, Meta(min_length=1, max_length=65536)] | None = None
    response_format: ResponseFormat | None = None
    # Of llama-server, vLLM, LM Studio and Ollama.
    max_tokens: Limit | None = None
    n_predict: Limit | None = None
    """llama-server's name of `max_tokens`."""
    top_k: Limit | None = None
    repetition_penalty: Annotated[float, Meta(ge=0.1, le=10)] | None = None
    """vLLM's name of `repeat_penalty`."""
    json_schema: dict[str, Any] | str | None = None
    """llama-server's name of a `response_format` with a schema."""
    guided_json: dict[str, Any] | str | None = None
    """vLLM's names of it, and of `grammar`."""
    guided_grammar: str | None = None
    guided_choice: Alternatives | None = None
    guided_regex: str | None = None
    regex: str | None = None
    """SGLang's name of it."""
    structured_outputs: StructuredOutputs | None = None
    cache_prompt: bool | None = None
    """Prompts are always cached."""
    keep_alive: KeepAlive | None = None
    """How long the model stays loaded, as Ollama's: seconds or a duration such as `5m`."""
    ttl: Annotated[float, Meta(ge=-1, le=2**53)] | None = None
    """The same in LM Studio's seconds."""

    @property
    def include_usage(self) -> bool:
        """A stream ends with a chunk that has the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def single_tool_call(self) -> bool:
        """The reply is to end after its first tool call."""
        return False

    @property
    def kept_seconds(self) -> float | None:
        """How long the model is to stay loaded; None: the request says nothing of it.

        Raises:
            RequestError: it is no duration.
        """
        given = self.keep_alive if self.keep_alive is not None else self.ttl
        return None if given is None else seconds_of(given)

    def log_fields(self) -> dict[str, Any]:
        """Fields for the log lines of this request."""
        return {"user": self.user} if self.user else {}

    def ignored_fields(self) -> list[str]:
        """What is accepted but not fully honored; a response header warns about it."""
        found = []
        schema = self.response_format
        if isinstance(schema, JsonSchema) and schema.json_schema.description:
            found.append("response_format.json_schema.description is not shown to the model")
        if self.cache_prompt is False:
            found.append("ignored: cache_prompt, prompts are always cached")
        return found

    def extra_params(self) -> dict[str, Any]:
        found: dict[str, Any] = {"logit_bias": _bias(self.logit_bias or {}), **self._bounds()}
        if self.top_k == -1:
            found["top_k"] = 0
        if self.repetition_penalty is not None:
            found["repeat_penalty"] = self.repetition_penalty
        return found

    def _bounds(self) -> dict[str, Any]:
        """What the reply is to keep to, whichever field asks for it.

        Raises:
            RequestError: two of them do.
        """
        outputs = self.structured_outputs or StructuredOutputs()
        wanted = {
            "response_format": (self.response_format or PlainText()).params(),
            "grammar": {"grammar": self.grammar} if self.grammar else {},
        }
        vllm = {
            "json_schema": StructuredOutputs(json=self.json_schema),
            "guided_json": StructuredOutputs(json=self.guided_json),
            "guided_grammar": StructuredOutputs(grammar=self.guided_grammar),
            "guided_choice": StructuredOutputs(choice=self.guided_choice),
            "guided_regex": StructuredOutputs(regex=self.guided_regex),
            "regex": StructuredOutputs(regex=self.regex),
            "structured_outputs": outputs,
        }
        wanted |= {name: given.params() for name, given in vllm.items()}
        named = [name for name, given in wanted.items() if given]
        if len(named) > 1:
            raise RequestError(f"{named[1]} and {named[0]} exclude each other", param=named[1])
        return wanted[named[0]] if named else {}

    def requested_tokens(self) -> int | None:
        for name in self._LIMITS:
            given: int | None = getattr(self, name, None)
            if given == 0:
                raise RequestError(f"{name}: a reply has at least one token", param=name)
            if given is not None:
                return None if given < 0 else given
        return None

    _LIMITS = ("max_completion_tokens", "max_tokens", "n_predict")


class ChatCompletionRequest(OpenAIRequest, kw_only=True, frozen=True, forbid_unknown_fields=False):
    """`POST /v1/chat/completions`."""

    NOT_HERE: ClassVar[Mapping[str, Any]] = {**_NOT_HERE, "echo": False}

    messages: Annotated[list[MessageIn], Meta(min_length=1, max_length=4096)]
    """If the last one is the assistant's, the reply continues it; see `continue_final_message`."""
    max_completion_tokens: Limit | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """False: the reply ends after its first call. A forced call is always the only one."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    safety_identifier: Identifier | None = None
    """Like `user`."""
    prompt_cache_key: Identifier | None = None
    """Accepted, but all prompts share one cache, which needs no key."""
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    modalities: list[Literal["text"]] | None = None
    metadata: Metadata | None = None
    """For the log, like `user`."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    """For models whose chat template supports it; others ignore it, and a header says so."""
    store: bool | None = None
    verbosity: str | None = None
    prediction: dict[str, Any] | None = None
    # OpenAI's older names of `tools` and `tool_choice`.
    functions: Annotated[list[FunctionIn], Meta(max_length=MOST_TOOLS)] | None = None
    function_call: Literal["auto", "none"] | FunctionName | None = None
    # OpenAI has these and the appliance does not: they may only be null.
    audio: None = None
    moderation: None = None
    web_search_options: None = None
    # Of others.
    chat_template_kwargs: dict[str, Any] | None = None
    """Variables of the chat template."""
    enable_thinking: bool | None = None
    think: bool | str | None = None
    thinking: Thinking | bool | None = None
    reasoning: Thinking | None = None
    continue_final_message: bool | None = None
    """False: an assistant's last message is complete, and another one follows it."""
    add_generation_prompt: bool | None = None
    """vLLM's: false goes with `continue_final_message`."""

    def extra_params(self) -> dict[str, Any]:
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs goes with logprobs", param="top_logprobs")
        wanted = (self.top_logprobs or 0) if self.logprobs else None
        return {**super().extra_params(), "logprobs": wanted}

    @property
    def single_tool_call(self) -> bool:
        # In the older API a message has one call at most.
        return self.parallel_tool_calls is False or bool(self.functions)

    @property
    def effort(self) -> str | None:
        """How much to think, whichever field says so; None: none does."""
        for given in (self.reasoning, self.thinking, self.think, self.enable_thinking):
            wish = given.wish if isinstance(given, Thinking) else given
            if wish is not None:
                return wish if isinstance(wish, str) else "medium" if wish else "none"
        return None

    def log_fields(self) -> dict[str, Any]:
        fields = {"user": self.safety_identifier or self.user, "metadata": self.metadata}
        return {name: value for name, value in fields.items() if value}

    def ignored_fields(self) -> list[str]:
        found = super().ignored_fields()
        tools, choice = self._choice()
        if choice == "auto" and any(tool.function.strict for tool in tools):
            found.append("tools: strict is only enforced where tool_choice forces a call")
        tuning = {
            "store": self.store,
            "verbosity": self.verbosity not in (None, "medium"),
            "service_tier": self.service_tier not in (None, "auto", "default"),
            "prediction": self.prediction,
            "prompt_cache_retention": self.prompt_cache_retention,
        }
        names = [name for name, given in tuning.items() if given]
        return [*found, *([f"ignored: {', '.join(names)}"] if names else [])]

    def prompt(self) -> ChatPrompt:
        """For the engine.

        Raises:
            RequestError: a message lacks a field that its role needs, or an allowed tool is
                unknown.
        """
        tools, choice = self._choice()
        for i, tool in enumerate(tools):
            tool.function.check(f"tools[{i}].function")
        messages: list[ChatMessage] = []
        for i, message in enumerate(self.messages):
            messages.append(message.to_engine(f"messages[{i}]", messages))
        return ChatPrompt(
            messages,
            parse_output=True,
            tools=msgspec.to_builtins(tools) or None,
            tool_choice=msgspec.to_builtins(choice),
            effort=self.reasoning_effort or self.effort,
            effort_is_wish=True,
            variables=self.chat_template_kwargs or {},
            continue_final=self._continues(messages[-1]),
        )

    def _continues(self, last: ChatMessage) -> bool:
        """Whether the reply continues the last message."""
        begun = last.role == "assistant" and not last.tool_calls
        if self.continue_final_message and not begun:
            raise RequestError(
                "continue_final_message: the last message is not the beginning of a reply",
                param="continue_final_message",
            )
        if self.continue_final_message and self.add_generation_prompt:
            raise RequestError(
                "continue_final_message and add_generation_prompt exclude each other",
                param="add_generation_prompt",
            )
        wanted = self.continue_final_message is not False and not self.add_generation_prompt
        return begun and wanted and bool(last.content or last.reasoning_content)

    def _choice(self) -> tuple[list[ToolIn], str | NamedTool]:
        """The tools that may be called, and which must be."""
        tools, choice = self.tools or [], self.tool_choice
        if self.functions and not tools:
            tools = [ToolIn(type="function", function=it) for it in self.functions]
        if choice is None:
            called = self.function_call
            choice = NamedTool(function=called) if isinstance(called, FunctionName) else called
        return permitted(tools, choice or "auto")


Text = Annotated[str, Meta(min_length=1)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TokenIds = Annotated[list[TokenId], Meta(min_length=1)]


class CompletionRequest(OpenAIRequest, kw_only=True, frozen=True, forbid_unknown_fields=False):
    """`POST /v1/completions`."""

    prompt: Text | Annotated[list[TokenId | Text | TokenIds], Meta(min_length=1)]
    """A text, tokens, or up to 64 of either."""
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None
    """At most `n`: no further choices are generated to pick from."""
    echo: bool | None = None
    """The reply begins with the prompt's text; goes without `logprobs`."""
    suffix: str | None = None
    """What comes behind the text that is to be filled in, for models with tokens for that."""

    def extra_params(self) -> dict[str, Any]:
        if self.echo and self.logprobs is not None:
            raise RequestError("echo goes without logprobs here", param="echo")
        if (self.best_of or 1) > (self.n or 1):
            raise RequestError("best_of can be at most n here", param="best_of")
        return {**super().extra_params(), "logprobs": self.logprobs}


_A_NUMBER = re.compile(r"-?[0-9]{1,18}")


def _bias(given: dict[str, float]) -> tuple[tuple[int, float], ...]:
    """OpenAI writes tokens as texts; -100 bans one."""
    wrong = [key[:32] for key in given if not _A_NUMBER.fullmatch(key)]
    if wrong:
        raise RequestError(
            f"logit_bias: its keys must be tokens, not {', '.join(map(repr, wrong[:8]))}",
            param="logit_bias",
        )
    return tuple((int(token), -math.inf if bias <= -100 else bias) for token, bias in given.items())


class EmbeddingRequest(Lenient, kw_only=True, frozen=True):
    """`POST /v1/embeddings`."""

    NOT_HERE: ClassVar[Mapping[str, Any]] = {"normalize": True}

    input: Text | Annotated[list[TokenId | Text | TokenIds], Meta(min_length=1)]
    """A text, tokens, or up to 2048 of either."""
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Tokens | None = None
    """Vectors are cut to as many numbers, and made of length 1 again."""
    device: DeviceName | None = None
    user: Identifier | None = None
    """The caller's end user, for the log."""
