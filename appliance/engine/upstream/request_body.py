"""The body of a request to an upstream, in OpenAI's names, and what changes when it is refused."""

import re
from typing import Any

import msgspec

from appliance.engine.protocol import Delta, Logprobs
from appliance.engine.types import (
    ChatMessage,
    ChatPrompt,
    InfillPrompt,
    Prompt,
    SamplingParams,
    TextPrompt,
    with_attached,
)
from appliance.engine.upstream.chunks import Chunk
from appliance.errors import ApplianceError

PLAIN = SamplingParams()
LLAMA_SERVERS = (
    *("typical_p", "top_n_sigma", "repeat_last_n", "samplers"),
    *("dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n"),
    *("dry_sequence_breakers", "xtc_probability", "xtc_threshold"),
    *("dynatemp_range", "dynatemp_exponent", "mirostat_tau", "mirostat_eta", "mirostat"),
)
"""Samplers of llama-server, which is sent them only if they are asked for."""

OPTIONAL = (
    *("top_k", "min_p", "repeat_penalty", "repetition_penalty", "ignore_eos", "stream_options"),
    *LLAMA_SERVERS,
    # Other fields beside them mean the same.
    *("json_schema", "structured_outputs", "ebnf", "guided_regex", "regex"),
    "chat_template_kwargs",
)
"""Fields that are not OpenAI's own or came late, omitted for an upstream that refuses them."""

TRIM_STEP = 8
"""Messages of a long chat that are left out together."""
PATIENT_TRIMS = 8
"""Times that the oldest question and answer are left out one pair at a time; then two, four, …"""

_UNKNOWN = re.compile(
    r"unrecogni[sz]ed|unknown|unexpected|unsupported|extra|is not a field"
    r"|not (?:be )?(?:supported|permitted|allowed|recogni[sz]ed)",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[ _](?:length|size|window)|exceed_context_size|maximum (?:input|prompt) length"
    r"|max_model_len|(?:prompt|input) is too long",
    re.IGNORECASE,
)
_N_CTX = re.compile(
    r"(?:context (?:length|size|window)(?: is| of)?(?: only)? \(?|max_model_len[\w=]*=)(\d+)",
    re.IGNORECASE,
)
_N_PROMPT = (
    r"(\d+) input tokens",
    r"(\d+) tokens from the input",
    r"(\d+) in the (?:messages|prompt)",
    r"(?:request|input) \((\d+) tokens",
    r"resulted in (\d+) tokens",
)
"""How vLLM, SGLang, llama-server and OpenAI report the length of a prompt."""


class TooLong(msgspec.Struct, frozen=True):
    """What an upstream reported of a prompt that does not fit; tokens, None where it did not."""

    n_ctx: int | None = None
    n_prompt: int | None = None


class UpstreamFailure(Exception):
    """The upstream gave no reply, or no whole one."""

    def __init__(
        self, error: ApplianceError, *, too_long: TooLong | None = None, unknown: str = ""
    ) -> None:
        """`error` is for the caller; `unknown`: the upstream's message about an unknown field."""
        super().__init__(error.message)
        self.error = error
        self.too_long = too_long
        self.unknown = unknown


def too_long(text: str) -> TooLong | None:
    """What the upstream's message reports of the length; None when it is about something else."""
    if not _TOO_LONG.search(text):
        return None
    n_ctx = _N_CTX.search(text)
    n_prompt = next(filter(None, (re.search(pattern, text) for pattern in _N_PROMPT)), None)
    return TooLong(
        int(n_ctx.group(1)) if n_ctx else None, int(n_prompt.group(1)) if n_prompt else None
    )


def names_unknown(text: str) -> bool:
    """Whether the upstream's message is about a field that it does not know."""
    return any(name in text for name in OPTIONAL) and bool(_UNKNOWN.search(text))


class RequestBody:
    """One request's body, adapted when the upstream refuses it for a reason that can be met."""

    def __init__(
        self, model: str, prompt: Prompt, sampling: SamplingParams, seed: int, omitted: set[str]
    ) -> None:
        """`model`: its name there. `omitted`: of `OPTIONAL`, shared by the upstream's requests."""
        self._model = model
        self._prompt = prompt
        self._sampling = sampling
        self._seed = seed
        self._omitted = omitted
        self._sent: set[str] = set()
        self._max_tokens = sampling.max_tokens
        self._room_tried = False
        self._trims = 0
        self.dropped = 0
        """Messages that were left out."""

    @property
    def path(self) -> str:
        """Below the upstream's address."""
        return "/chat/completions" if isinstance(self._prompt, ChatPrompt) else "/completions"

    @property
    def parse_output(self) -> bool:
        """Reasoning is wanted apart from the text."""
        return isinstance(self._prompt, ChatPrompt) and self._prompt.parse_output

    @property
    def param(self) -> str:
        """The field of the caller's request that a refusal is about."""
        return "messages" if isinstance(self._prompt, ChatPrompt) else "prompt"

    def fields(self) -> dict[str, Any]:
        """What to send now."""
        sampling = self._sampling
        body: dict[str, Any] = {
            "model": self._model,
            **self._text(),
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": self._seed,
            **self._bounds(),
        }
        wished = {
            "max_tokens": self._max_tokens,
            "stop": list(sampling.stop),
            "frequency_penalty": sampling.frequency_penalty,
            "presence_penalty": sampling.presence_penalty,
            "logit_bias": {str(token): bias for token, bias in sampling.logit_bias},
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "ignore_eos": sampling.ignore_eos,
        }
        body |= {name: value for name, value in wished.items() if value}
        if sampling.repeat_penalty != 1.0:
            # llama-server's name and the one of vLLM and SGLang; each ignores the other's.
            body["repeat_penalty"] = body["repetition_penalty"] = sampling.repeat_penalty
        body |= {
            name: value
            for name in LLAMA_SERVERS
            if (value := getattr(sampling, name)) != getattr(PLAIN, name)
        }
        for name in list(self._omitted):
            body.pop(name, None)
        self._sent = set(body)
        return body

    def prompt_fields(self) -> dict[str, Any]:
        """What decides of the prompt, for the routes that count its tokens."""
        return {"model": self._model, "add_generation_prompt": True, **self._text()}

    def _text(self) -> dict[str, Any]:
        prompt = self._prompt
        logprobs = self._sampling.logprobs
        # None at all would be what some understand by 0.
        wanted = None if logprobs is None else max(1, logprobs)
        if isinstance(prompt, ChatPrompt):
            messages = msgspec.to_builtins(self._messages())
            fields: dict[str, Any] = {}
            if wanted is not None:
                fields = {"logprobs": True, "top_logprobs": wanted}
            if prompt.tools:
                fields |= {"tools": prompt.tools, "tool_choice": prompt.tool_choice}
            if prompt.effort is not None and not prompt.effort_is_wish:
                fields["reasoning_effort"] = prompt.effort
            elif prompt.effort is not None:
                # As templates name it; those without such a variable ignore it, as is wished.
                fields["chat_template_kwargs"] = {"enable_thinking": prompt.effort != "none"}
            if prompt.continue_final:
                # vLLM's and SGLang's names; llama-server takes the last message for what it is.
                fields |= {"continue_final_message": True, "add_generation_prompt": False}
            return {"messages": messages, **fields}
        fields = {} if wanted is None else {"logprobs": wanted}
        if isinstance(prompt, InfillPrompt):
            return {"prompt": prompt.prefix, "suffix": prompt.suffix, **fields}
        text = prompt.text if isinstance(prompt, TextPrompt) else prompt.tokens
        return {"prompt": text, **fields}

    def _bounds(self) -> dict[str, Any]:
        """What the reply must conform to, in the fields of each server: there is no common one, and
        each ignores those of the others."""
        sampling = self._sampling
        if sampling.grammar:
            return {
                "grammar": sampling.grammar,  # llama-server
                "structured_outputs": {"grammar": sampling.grammar},  # vLLM
                "ebnf": sampling.grammar,  # SGLang
            }
        if sampling.regex:
            return {
                "structured_outputs": {"regex": sampling.regex},  # vLLM
                "guided_regex": sampling.regex,  # older ones
                "regex": sampling.regex,  # SGLang
            }
        if sampling.json_schema:
            schema = msgspec.json.decode(sampling.json_schema)
            named = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
            if isinstance(self._prompt, ChatPrompt):
                return {"response_format": named}
            return {"response_format": named, "json_schema": schema}  # llama-server's completions
        return {}

    def delta(self, id: int, chunk: Chunk, tokens: int) -> Delta:
        """The event for `chunk`; `tokens`: completion tokens so far."""
        wanted = self._sampling.logprobs
        if wanted is None or chunk.logprobs is None:
            return Delta(id, chunk.text, tokens, chunk.reasoning, chunk.calls)
        logprobs = [Logprobs(entry.token, entry.top[:wanted]) for entry in chunk.logprobs]
        return Delta(id, chunk.text, tokens, chunk.reasoning, chunk.calls, logprobs)

    def _messages(self) -> list[ChatMessage]:
        system, rest = self._parts()
        return [
            with_attached(message, [None] * len(message.attached or ()))
            for message in system + rest[self.dropped :]
        ]

    def _parts(self) -> tuple[list[ChatMessage], list[ChatMessage]]:
        assert isinstance(self._prompt, ChatPrompt)
        messages = self._prompt.messages
        system = [m for m in messages[:1] if m.role == "system"]
        return system, messages[len(system) :]

    def adapt(self, failure: UpstreamFailure) -> bool:
        """Whether the body has changed, so that the upstream may accept it."""
        if failure.too_long:
            return self._shorten_reply(failure.too_long) or self._trim()
        named = {name for name in OPTIONAL if name in failure.unknown} & self._sent
        self._omitted.update(named)
        return bool(named)

    def _shorten_reply(self, limits: TooLong) -> bool:
        """`max_tokens` is an upper bound here, and a promise to vLLM and SGLang: prompt and reply
        must fit together. So what the prompt leaves is requested, and where messages may go
        instead, not less than a quarter of the context, as the appliance's own worker does."""
        if limits.n_ctx is None or self._max_tokens is None:
            return False
        reserve = max(1, limits.n_ctx // 4)
        room = reserve if limits.n_prompt is None else limits.n_ctx - limits.n_prompt
        # Some count no further than to their limit, so that this room may be none: tried once.
        exact = not self._room_tried and (room >= reserve or not self._may_trim)
        self._room_tried = True
        wanted = room if exact else reserve
        if room <= 0 or wanted >= self._max_tokens:
            return False
        self._max_tokens = wanted
        return True

    @property
    def _may_trim(self) -> bool:
        return isinstance(self._prompt, ChatPrompt) and self._prompt.trim

    def _trim(self) -> bool:
        if not self._may_trim:
            return False
        assert isinstance(self._prompt, ChatPrompt)
        rest = len(self._parts()[1])
        most = rest - (2 if self._prompt.continue_final else 1)
        if self.dropped >= most:
            return False
        self._trims += 1
        # To the same places turn after turn, so that what the upstream has read stays of use.
        step = TRIM_STEP if rest > 2 * TRIM_STEP else 2
        steps = self.dropped // step + 2 ** max(0, self._trims - PATIENT_TRIMS)
        self.dropped = min(step * steps, most)
        return True
