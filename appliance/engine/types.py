"""Requests to a model: for text, by a prompt and sampling parameters, or for embeddings."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec


class CalledFunction(msgspec.Struct, frozen=True):
    """A function and the JSON text of its arguments."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the model made."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class AttachedText(msgspec.Struct, frozen=True):
    """A file that a message has with it, as text."""

    name: str
    text: str
    characters: int
    """Of the whole text; `text` may have fewer."""


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a chat, in OpenAI's shape."""

    role: str
    content: str
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    attached: list[AttachedText] | None = None
    """See `with_attached`."""


def with_attached(message: ChatMessage, shown: Sequence[int | None]) -> ChatMessage:
    """The message with its files in its text, each in a frame that nothing in it can end.

    Args:
        message: which has some.
        shown: how many characters there are of each; None: all.
    """
    frames = []
    for file, most in zip(message.attached or (), shown, strict=True):
        text = file.text[:most].replace("</attachment", "<\\/attachment").strip("\n")
        if left_out := file.characters - (len(file.text) if most is None else most):
            text += (
                f"\n[The last {left_out} of {file.characters} characters are left out: they do not"
                " fit.]"
            )
        frames.append(f'<attachment name="{file.name}">\n{text}\n</attachment>')
    content = "\n\n".join(filter(None, [*frames, message.content]))
    return msgspec.structs.replace(message, content=content, attached=None)


class ChatPrompt(msgspec.Struct, frozen=True, tag="chat"):
    """Messages, rendered by the model's own chat template."""

    messages: list[ChatMessage]
    parse_output: bool = False
    """Reasoning and tool calls are parsed out of the reply, rather than left in its text."""
    tools: list[dict[str, Any]] | None = None
    """Functions that the model may call, in OpenAI's shape."""
    tool_choice: Literal["auto", "none", "required"] | dict[str, Any] = "auto"
    effort: str | None = None
    """OpenAI's `reasoning_effort`; a model without it refuses the prompt."""
    effort_is_wish: bool = False
    """A model without such a setting ignores `effort`, and refuses nothing."""
    variables: dict[str, Any] = {}
    """What the chat template uses beside the messages, over what follows from `effort`."""
    continue_final: bool = False
    """The last message is the beginning of a reply of the assistant's, which is continued."""
    common_system: bool = False
    """The first message is a system prompt that an administrator shares with everybody: what was
    computed of it may be found by any owner."""
    trim: bool = False
    """Leave out the oldest messages after the system message until the rest fits; `Accepted` says
    how many. Otherwise a prompt that is too long is refused."""


class TextPrompt(msgspec.Struct, frozen=True, tag="text"):
    """Text that the model continues as it stands."""

    text: str


class TokenPrompt(msgspec.Struct, frozen=True, tag="tokens"):
    """Tokens of the model's own vocabulary, taken as they are."""

    tokens: list[int]


class InfillPrompt(msgspec.Struct, frozen=True, tag="infill"):
    """A text with a gap, which the model fills in."""

    prefix: str
    suffix: str
    files: list[tuple[str, str]] = []
    """Names and texts of others that it is shown; the first ones are left out if need be."""
    param: str = "suffix"
    """The field that a refusal is about."""


Prompt = ChatPrompt | TextPrompt | TokenPrompt | InfillPrompt


SAMPLERS = (
    *("penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc"),
    *("temperature", "infill"),
)
"""llama.cpp's names."""
DEFAULT_SAMPLERS = SAMPLERS[:-1]
"""In llama.cpp's order."""


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How tokens are chosen; names and neutral values are llama.cpp's."""

    max_tokens: int | None = None
    """Completion tokens at most; None: as many as the context holds."""
    temperature: float = 0.8
    """0 takes the likeliest token."""
    top_k: int = 40
    """0: off."""
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    """1.0: off; over the last `repeat_last_n` tokens, like the two that follow."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_last_n: int = 64
    """0: none; -1: as many as the context holds."""
    dry_multiplier: float = 0.0
    """0: off. DRY: a token that continues a repetition of n tokens loses multiplier × base ^ (n -
    allowed length)."""
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = 64
    """Tokens that repetitions are looked for in; -1: as many as the context holds."""
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    """Texts that no repetition goes beyond."""
    top_n_sigma: float = -1.0
    """Keeps tokens within so many standard deviations of the likeliest one's logit; 0 and less:
    off."""
    typical_p: float = 1.0
    """1: off."""
    xtc_probability: float = 0.0
    """0: off. XTC: how often all but the least likely of the tokens above the threshold go."""
    xtc_threshold: float = 0.1
    dynatemp_range: float = 0.0
    """0: off. The temperature lies that much below or above, by the entropy."""
    dynatemp_exponent: float = 1.0
    mirostat: int = 0
    """0: off; 1, 2: the version, which takes the place of all other samplers but temperature and
    bias."""
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    samplers: tuple[str, ...] = ()
    """Which are applied, in this order, by the names in `SAMPLERS`; empty: those in
    `DEFAULT_SAMPLERS`."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token and what is added to its logit."""
    ignore_eos: bool = False
    """The model cannot end its reply itself."""
    logprobs: int | None = None
    """How many of the likeliest tokens to report beside the sampled one; None: none at all."""
    grammar: str | None = None
    """GBNF that the reply keeps to."""
    json_schema: str | None = None
    """JSON schema, as JSON, that the reply keeps to."""
    regex: str | None = None
    """Regular expression that the whole reply matches."""
    seed: int | None = None
    """0 … 2³²-1; None: drawn by the worker and reported in `Accepted`."""
    reproducible: bool = False
    """The same seed gives the same text, whatever runs beside it and was computed before, as long
    as `ModelInfo.fingerprint` is the same."""
    stop: tuple[str, ...] = ()
    """Texts that end the reply and are not part of it."""


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prompt to complete. It travels whole, from the API to the worker."""

    prompt: Prompt
    sampling: SamplingParams
    session: str | None = None
    """Whose chat it is: its saved states are deleted with the session. None: the request is
    stateless, and nothing of it is written to disk."""
    owner: str = ""
    """A key's id or an address. Owners take turns where requests wait, and what was computed for
    one is not found by another."""
    caller: str = ""
    """The name of the API key that it came with, for the metrics."""
    device: str | None = None
    """Where it should run, see `engine.device_routing`; None: anywhere."""
    count_only: bool = False
    """It ends once it is known how many tokens the prompt has."""


def with_system(request: GenerationRequest, system: str) -> GenerationRequest:
    """The request with this system prompt, if its chat has none."""
    prompt = request.prompt
    if not system or not isinstance(prompt, ChatPrompt):
        return request
    if any(message.role == "system" for message in prompt.messages):
        return request
    prompt = msgspec.structs.replace(
        prompt, messages=[ChatMessage("system", system), *prompt.messages]
    )
    return msgspec.structs.replace(request, prompt=prompt)


def with_common_system(
    request: GenerationRequest, common: Callable[[], str | None]
) -> GenerationRequest:
    """The request, which says so if it begins with the system prompt that is shared: `common`."""
    prompt = request.prompt
    if not isinstance(prompt, ChatPrompt) or not prompt.messages:
        return request
    first = prompt.messages[0]
    if first.role != "system" or not first.content or first.content != common():
        return request
    prompt = msgspec.structs.replace(prompt, common_system=True)
    return msgspec.structs.replace(request, prompt=prompt)


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="embed"):
    """Texts or tokens to make vectors of, one each."""

    inputs: list[TextPrompt | TokenPrompt]
    query: str | None = None
    """The inputs are texts to compare with this one: a vector is one number, the higher the better
    they fit. None: they are to be embedded."""
    dimensions: int | None = None
    """How long a vector must be at least; the request fails if this model's are shorter."""
    truncate: bool = False
    """Inputs that are too long are cut, rather than refused."""
    owner: str = ""
    device: str | None = None
    """As in `GenerationRequest`."""


class TextRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """Something of the model's vocabulary or template alone."""

    kind: Literal["tokenize", "detokenize", "render", "prompt", "fit"]
    """`prompt`: the tokens that the model is given for a chat, nothing of which is left out;
    `fit`: how much of texts that are attached fits."""
    text: str = ""
    attached: list[AttachedText] = []
    """Texts that a message is to have with it: how much of them fits."""
    tokens: list[int] = []
    prompt: ChatPrompt | None = None
    """To render, or to tokenize."""
    session: str = ""
    """Whose chat the prompt is: replies in it that the model wrote keep their tokens."""
    add_special: bool = False
    """With the tokens that a prompt begins with."""
    parse_special: bool = True
    owner: str = ""
    device: str | None = None
