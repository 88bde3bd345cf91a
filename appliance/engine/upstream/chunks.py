"""The chunks of an upstream's stream: OpenAI's two shapes and their dialects, as one."""

import msgspec

from appliance.engine.protocol import CallDelta, FinishReason, Logprobs, TokenLogprob


class UpstreamUsage(msgspec.Struct, frozen=True):
    """Tokens, as the upstream counts them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Chunk(msgspec.Struct, frozen=True):
    """What one chunk contains; an empty one means that the request was accepted."""

    text: str = ""
    reasoning: str = ""
    calls: list[CallDelta] = []
    reason: FinishReason | None = None
    usage: UpstreamUsage | None = None
    logprobs: list[Logprobs] | None = None

    @property
    def has_output(self) -> bool:
        """It has something of the reply."""
        return bool(self.text or self.reasoning or self.calls or self.logprobs)


class ReplyAborted(Exception):
    """The upstream ended the reply for a reason of its own."""


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _RawUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Token(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: "list[_Token] | None" = None


class _Logprobs(msgspec.Struct, frozen=True):
    """`content` is of chat completions, and llama-server's everywhere; the rest of completions."""

    content: list[_Token] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class _Choice(msgspec.Struct, frozen=True):
    text: str | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _RawChunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []
    usage: _RawUsage | None = None


class ChunkReader:
    """Reads the chunks of one stream, in order."""

    def __init__(self, *, parse_output: bool) -> None:
        """`parse_output`: reasoning is kept apart from the text."""
        self._parse_output = parse_output
        self._thinking = False

    def read(self, chunk: object) -> Chunk:
        """`chunk`: what its JSON was.

        Raises:
            ValueError: it is nothing of OpenAI's.
            ReplyAborted: the upstream ended the reply for a reason of its own.
        """
        raw = msgspec.convert(chunk, _RawChunk)
        usage = _usage(raw.usage)
        if not raw.choices:
            return Chunk(usage=usage)
        choice = raw.choices[0]
        if choice.finish_reason in ("abort", "error"):
            raise ReplyAborted(choice.finish_reason)
        delta = choice.delta or _Delta()
        return Chunk(
            self._text(choice),
            (delta.reasoning_content or delta.reasoning or "") if self._parse_output else "",
            [_call(call) for call in delta.tool_calls or ()],
            _reason(choice.finish_reason),
            usage,
            _logprobs(choice.logprobs),
        )

    def _text(self, choice: _Choice) -> str:
        """Reasoning that a server has parsed out becomes the block again that the model wrote."""
        delta = choice.delta
        if delta is None:
            return choice.text or ""
        if self._parse_output:
            return delta.content or ""
        text = delta.reasoning_content or delta.reasoning or ""
        if text and not self._thinking:
            text = f"<think>\n{text}"
            self._thinking = True
        if self._thinking and (delta.content or choice.finish_reason):
            text += "\n</think>\n\n"
            self._thinking = False
        return text + (delta.content or "")


def _call(call: _Call) -> CallDelta:
    function = call.function
    return CallDelta(call.index, call.id or None, function.name, function.arguments or "")


def _reason(reason: str | None) -> FinishReason | None:
    match reason:
        case None | "":
            return None
        case "length":
            return "length"
        case "tool_calls":
            return "tool_calls"
        case _:
            return "stop"


def _usage(usage: _RawUsage | None) -> UpstreamUsage | None:
    if usage is None or usage.completion_tokens is None:
        return None
    details = usage.prompt_tokens_details
    cached = details.cached_tokens if details else None
    return UpstreamUsage(usage.prompt_tokens, usage.completion_tokens, cached or 0)


def _logprobs(raw: _Logprobs | None) -> list[Logprobs] | None:
    if raw is None:
        return None
    if raw.content is not None:
        return [
            Logprobs(_token(entry), [_token(top) for top in entry.top_logprobs or []])
            for entry in raw.content
        ]
    tokens = raw.tokens or []
    logprobs = raw.token_logprobs or [None] * len(tokens)
    tops = raw.top_logprobs or [None] * len(tokens)
    return [
        Logprobs(
            TokenLogprob(token.encode(), 0.0 if logprob is None else logprob),
            [TokenLogprob(text.encode(), value) for text, value in (top or {}).items()],
        )
        for token, logprob, top in zip(tokens, logprobs, tops, strict=False)
    ]


def _token(raw: _Token) -> TokenLogprob:
    text = raw.token.encode() if raw.bytes is None else bytes(raw.bytes)
    return TokenLogprob(text, raw.logprob)
