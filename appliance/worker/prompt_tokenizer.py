"""Prompts as tokens: rendered by the chat template, tokenized, cut to the context.

With a prompt's tokens comes the parser that its reply is read with.
"""

import dataclasses
import functools
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Messages
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from appliance.engine.types import (
    ChatMessage,
    ChatPrompt,
    InfillPrompt,
    Prompt,
    SamplingParams,
    TextPrompt,
    TextRequest,
    TokenPrompt,
)
from appliance.errors import ApplianceError, RequestError
from appliance.worker.chat_template import reasoning_effort
from appliance.worker.chat_template.generic_tools import describe_tools_in_text, with_calls_as_text
from appliance.worker.chat_template.sandbox import (
    SandboxedTemplate,
    TemplateTooCostly,
)
from appliance.worker.chat_template.trimming import cut_points
from appliance.worker.constraints.compiler import Wanted
from appliance.worker.infill import infill_tokens
from appliance.worker.parsers.base import PromptSegment, ReplyParser, ResumedParser
from appliance.worker.parsers.detect import OutputFormat, detect
from appliance.worker.parsers.known import GENERIC_SYNTAX
from appliance.worker.parsers.syntax import CallSyntax
from appliance.worker.parsers.tool_schema import call_schema
from appliance.worker.runners.base import Runner
from appliance.worker.runners.slices import SLICE, slices
from appliance.worker.scheduler.prompt_tokens import PromptTokens
from appliance.worker.scheduler.written_tokens import WrittenTokens

log = logging.getLogger(__name__)

FAR = 2
"""A chat whose messages have so many times the tokens that fit is cut before it is rendered: what a
template leaves out of it, such as old thoughts, is less."""
MOST_COUNTED = 20_000
"""Texts whose number of tokens is kept."""


@dataclass(slots=True)
class TokenizedPrompt:
    """A prompt as tokens."""

    tokens: list[int]
    keeps_to: Wanted | None = None
    """What the reply is bound by: the request's own, or a call that it forces."""
    parser: ReplyParser | None = None
    """The parser of the reply; None: it is all text."""
    dropped_messages: int = 0
    common: int = 0
    """Leading tokens that an administrator shares with everybody."""
    reply_from: int | None = None
    """Tokens before the reply, the end of the prompt may be its beginning; None: it is no chat."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """Messages as the model sees them."""

    tokens: list[int]
    prompt: str
    """Up to where the assistant's reply begins."""
    written: str
    """What it has written already; `tokens` end with it."""
    reply_from: int
    """Tokens before that."""


class PromptTokenizer:
    """Lives on the intake's threads, one at a time."""

    def __init__(
        self,
        runner: Runner,
        template: SandboxedTemplate,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        """`template` has been given the model's template to compile; `pause` is called between two
        slices of a text, and may raise."""
        self._runner = runner
        self._pause = pause
        self._template = template
        self._common = ("", PromptTokens())
        """The last system prompt that is shared, and all that a prompt with it begins with."""
        self._counted: dict[int, int] = {}
        """Tokens of texts, by their hashes."""
        self._describes_tools = False
        """The template does not support tools, so they are described in the prompt."""

    @functools.cached_property
    def _format(self) -> OutputFormat:
        """How the model writes replies: derived at the first chat."""
        try:
            found = detect(self._runner.chat_template, self._shown)
        except ApplianceError:
            raise
        except Exception as ex:  # noqa: BLE001 - a template may show anything
            log.warning("what this model writes could not be derived: %r", ex)
            found = detect(self._runner.chat_template)
        self._describes_tools = found.calls is None and not found.harmony
        if self._describes_tools:
            found = msgspec.structs.replace(found, calls=GENERIC_SYNTAX)
        self._runner.preserve_tokens(found.preserved_tokens)
        return found

    def _shown(
        self,
        messages: Messages[Mapping[str, Any]],
        tools: Messages[Mapping[str, Any]] | None,
        variables: Mapping[str, Any],
    ) -> str:
        try:
            segments = self._template.render(messages, tools, variables, as_is=True)
        except TemplateTooCostly as ex:
            raise TimeoutError(ex.message) from None  # so that no other is tried
        return "".join(text for text, _ in segments)

    def read(self, prompt: Prompt, sampling: SamplingParams) -> TokenizedPrompt:
        """Tokens of the prompt.

        Raises:
            RequestError: it cannot be read; `param` names the field.
        """
        n_vocab = self._runner.n_vocab
        for token, _ in sampling.logit_bias:
            if not 0 <= token < n_vocab:
                raise RequestError(
                    f"logit_bias names {token}, and tokens lie between 0 and {n_vocab - 1}",
                    param="logit_bias",
                )
        if isinstance(prompt, ChatPrompt):
            return self._chat(prompt, sampling)
        if isinstance(prompt, TextPrompt):
            tokens = self.tokens(prompt.text, parse_special=True)
            return TokenizedPrompt(self._runner.with_bos(tokens), _wanted(sampling))
        if isinstance(prompt, InfillPrompt):
            n_ctx = self._runner.info.n_ctx
            tokens, dropped = infill_tokens(
                prompt, self._runner.fill_in, self._plain, n_ctx - _reserve(sampling, n_ctx)
            )
            tokens = self._runner.with_bos(tokens)
            return TokenizedPrompt(tokens, _wanted(sampling), dropped_messages=dropped)
        self.check_tokens(prompt.tokens, "prompt")
        return TokenizedPrompt(prompt.tokens, _wanted(sampling))

    def show(self, request: TextRequest) -> str:
        """A chat as the model sees it, up to where its reply goes on."""
        assert request.prompt
        rendered = self._rendered(request.prompt, request.prompt.messages)
        return rendered.prompt + rendered.written

    def prompt_tokens(self, prompt: ChatPrompt) -> list[int]:
        """A whole chat's tokens, as the model gets them."""
        return self._rendered(prompt, prompt.messages).tokens

    def read_input(
        self, prompt: TextPrompt | TokenPrompt, param: str, query: str | None = None
    ) -> list[int]:
        """Tokens of something to make a vector of, with what the model wants around a text.

        `query`: the text is to be compared with this one.

        Raises:
            RequestError: there is nothing to read; `param` is named.
        """
        if isinstance(prompt, TextPrompt) and query is not None:
            tokens = self._pair(query, prompt.text)
        elif isinstance(prompt, TextPrompt):
            tokens = self._with_special(prompt.text)
        else:
            tokens = prompt.tokens
            self.check_tokens(tokens, param)
        if not tokens:
            raise RequestError(f"{param} is empty", param=param)
        return tokens

    def _pair(self, query: str, text: str) -> list[int]:
        template = self._runner.pair_template
        if template is None:
            return self._runner.pair(query, text)
        given = {"{query}": query, "{document}": text}
        control = re.compile(f"({self._control.pattern})")
        segments: list[PromptSegment] = []
        for part in re.split(r"(\{query\}|\{document\})", template):
            # Every other piece is a control token's text, which is text where people wrote it.
            pieces = control.split(given[part]) if part in given else [part]
            segments += [(piece, n % 2 == 0) for n, piece in enumerate(pieces) if piece]
        return self._tokens_of(segments)

    def _with_special(self, text: str) -> list[int]:
        if len(text) <= SLICE:
            return self._runner.tokenize_with_special(text)
        probe = self._runner.tokenize("a", parse_special=False)
        around = self._runner.tokenize_with_special("a")
        start = next((i for i in range(len(around)) if around[i : i + len(probe)] == probe), None)
        if start is None:
            return self._runner.tokenize_with_special(text)
        tokens = self.tokens(text, parse_special=False)
        return [*around[:start], *tokens, *around[start + len(probe) :]]

    def check_tokens(self, tokens: Messages[int], param: str) -> None:
        """
        Raises:
            RequestError: one of them is none; `param` is named.
        """
        n_vocab = self._runner.n_vocab
        if not all(0 <= token < n_vocab for token in tokens):
            raise RequestError(f"tokens must lie between 0 and {n_vocab - 1}", param=param)

    def _chat(self, prompt: ChatPrompt, sampling: SamplingParams) -> TokenizedPrompt:
        n_ctx = self._runner.info.n_ctx
        wanted = n_ctx - _reserve(sampling, n_ctx)
        system = [m for m in prompt.messages[:1] if m.role == "system"]
        rest = prompt.messages[len(system) :]
        complete = rest[:-1] if prompt.continue_final else rest
        points: Iterator[int] | None = None
        dropped = 0
        if prompt.trim and sum(len(m.content) for m in complete) > FAR * wanted:
            # Rendering all of it, only to leave most of it out, would take longer with every turn.
            points = iter(cut_points(complete, n_ctx * 3 // 8, self._count))
            left = sum(self._count(m.content) for m in complete)
            while left > FAR * wanted and (point := next(points, 0)):
                left -= sum(self._count(m.content) for m in complete[dropped:point])
                dropped = point
        shown = self._rendered(prompt, system + rest[dropped:])
        if prompt.trim and len(shown.tokens) > wanted:
            points = points or iter(cut_points(complete, n_ctx * 3 // 8, self._count))
            while len(shown.tokens) > wanted and (point := next(points, 0)):
                dropped = point
                shown = self._rendered(prompt, system + rest[dropped:])
        read = TokenizedPrompt(
            shown.tokens,
            _wanted(sampling),
            dropped_messages=dropped,
            reply_from=shown.reply_from,
        )
        if prompt.common_system and system:
            common = self._tokens_of_common(system[0].content)
            read.common = common.common_prefix(PromptTokens(shown.tokens))
        if prompt.parse_output:
            self._choose_parser(prompt, read, shown)
        return read

    def _tokens_of_common(self, system: str) -> PromptTokens:
        """What every prompt with this system message begins with, up to the message's end at most.

        As it stands in a prompt that has nothing of anybody's: some templates put a person's words
        in front of it.
        """
        if self._common[0] != system:
            messages = [ChatMessage("system", system), ChatMessage("user", "")]
            try:
                segments = self._template.render(messages, None, {})
            except RequestError:  # it takes no such prompt, so none is shared
                segments = []
            text = "".join(text for text, _ in segments)
            found = text.find(system.strip())
            left = found + len(system.strip()) if found >= 0 else 0
            shared = []
            for part, parse_special in segments:
                shared.append((part[:left], parse_special))
                left = max(0, left - len(part))
            tokens = self._tokens_of([segment for segment in shared if segment[0]])
            self._common = (system, PromptTokens(self._runner.with_bos(tokens)))
        return self._common[1]

    def _count(self, text: str) -> int:
        """Tokens of a text. A chat's messages are counted again at every turn, so that is kept."""
        key = hash(text)
        found = self._counted.get(key)
        if found is None:
            if len(self._counted) >= MOST_COUNTED:
                self._counted.clear()
            found = self._counted[key] = len(self._plain(text))
        return found

    def _plain(self, text: str) -> list[int]:
        return self.tokens(text, parse_special=False)

    def _rendered(self, prompt: ChatPrompt, messages: list[ChatMessage]) -> "_Rendered":
        tools = prompt.tools if prompt.tool_choice != "none" else None
        begun = messages[-1:] if prompt.continue_final else []
        if any(m.role != "assistant" or m.tool_calls for m in begun):
            raise RequestError("only a reply of the assistant's can go on", param="messages")
        variables = reasoning_effort.variables(
            self._runner.chat_template,
            prompt.effort,
            thinks=self._format.thinks,
            is_wish=prompt.effort_is_wish,
        )
        shown = messages[: len(messages) - len(begun)]
        if self._describes_tools:
            shown, tools = describe_tools_in_text(shown, tools or ()), None
        elif self._format.calls and not self._format.shows_calls:
            shown = [with_calls_as_text(message, self._format.calls) for message in shown]
        segments = self._template.render(shown, tools, {**variables, **prompt.variables})
        text = "".join(text for text, _ in segments)
        tokens = self._runner.with_bos(self._tokens_of(segments))
        written, reply_from = "", len(tokens)
        for reply in begun:
            thought = reply.reasoning_content or ""
            for part, parse_special in self._format.prefill_segments(text, thought, reply.content):
                self._pause()
                tokens += self._tokens_within(part, parse_special=parse_special)
                written += part
        return _Rendered(tokens, text, written, reply_from)

    @functools.cached_property
    def _control(self) -> "re.Pattern[str]":
        """Finds control tokens; the longest one where several begin."""
        texts = sorted(filter(None, self._runner.special_token_texts()), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    def _tokens_of(self, segments: Messages[PromptSegment]) -> list[int]:
        """Tokens of a rendered prompt.

        They are those of the whole text, but for what somebody wrote that looks like a control
        token: that is text, and has the tokens of what stands around it up to the template's own
        control tokens. No vocabulary joins anything across those.
        """
        if all(parse_special for _, parse_special in segments):
            return self.tokens("".join(text for text, _ in segments), parse_special=True)
        tokens: list[int] = []
        for text, parse_special in _between_control(segments, self._control):
            tokens += self.tokens(text, parse_special=parse_special)
        return tokens

    def tokens(self, text: str, *, parse_special: bool) -> list[int]:
        """Tokens of a text, however long."""
        if len(text) <= SLICE:
            return self._runner.tokenize(text, parse_special=parse_special)
        tokens: list[int] = []
        for _, part in self.sliced(text, parse_special=parse_special):
            tokens += part
        return tokens

    def sliced(self, text: str, *, parse_special: bool = False) -> Iterator[tuple[str, list[int]]]:
        """The text in parts, each with its tokens."""
        first, *others = slices(text, self._runner.cuts)
        yield first, self._runner.tokenize(first, parse_special=parse_special)
        for part in others:
            self._pause()
            yield part, self._tokens_within(part, parse_special=parse_special)

    def as_written(self, tokens: PromptTokens, written: WrittenTokens) -> PromptTokens:
        """A chat's tokens, with those of replies as they were written."""
        return written.adapted(
            tokens, self._piece, lambda text: self._tokens_within(text, parse_special=False)
        )

    @functools.cached_property
    def control_tokens(self) -> frozenset[int]:
        """Ids of tokens that no text of people's has."""
        found = (
            self._runner.tokenize(text, parse_special=True)
            for text in filter(None, self._runner.special_token_texts())
        )
        return frozenset(tokens[0] for tokens in found if len(tokens) == 1)

    def _piece(self, token: int) -> bytes:
        """A token's text; control tokens, which may look like text, have what no text has."""
        text = b"" if token in self.control_tokens else self._runner.token_to_bytes(token)
        return text or b"\xff%d\xff" % token

    def _tokens_within(self, text: str, *, parse_special: bool) -> list[int]:
        """Tokens of a text that stands in the middle of a line."""
        tokens = self._runner.tokenize(text, parse_special=parse_special)
        # Vocabularies without a token for a word's beginning spell its mark in bytes.
        read = b"".join(map(self._runner.token_to_bytes, tokens)).replace("▁".encode(), b" ")
        if len(read) - len(read.lstrip(b" ")) <= len(text) - len(text.lstrip(" ")):
            return tokens
        # SentencePiece takes the beginning of a text for the beginning of a word.
        line = self._runner.tokenize("\n", parse_special=False)
        return self._runner.tokenize(f"\n{text}", parse_special=parse_special)[len(line) :]

    def _choose_parser(self, prompt: ChatPrompt, read: TokenizedPrompt, shown: "_Rendered") -> None:
        tools = prompt.tools or []
        text = shown.prompt
        try:
            forced = self._format.forced(tools, prompt.tool_choice, text)
        except RecursionError:
            raise RequestError("a tool's schema is nested too deep", param="tools") from None
        if forced is None:
            tools = tools if prompt.tool_choice != "none" else []
            either = self._answer_or_call(read, tools, shown)
            if read.keeps_to and (mark := self._format.thought_end(text, shown.written)):
                read.keeps_to = dataclasses.replace(read.keeps_to, after=mark)
            elif read.keeps_to and shown.written:
                read.keeps_to = dataclasses.replace(
                    read.keeps_to, begun=prompt.messages[-1].content
                )
            if tools and self._describes_tools and not read.keeps_to:
                read.keeps_to = _call_when_begun(GENERIC_SYNTAX, tools)
            read.parser = either or self._format.parser(text, tools)
            if shown.written:
                begun = prompt.messages[-1]
                sent = begun.content or begun.reasoning_content or ""
                read.parser = ResumedParser(read.parser, shown.written, sent)
            return
        if read.keeps_to:
            raise RequestError(
                "tool_choice forces a call, and response_format or grammar something else",
                param="tool_choice",
            )
        kind: Literal["json_schema", "marked"]
        kind = "marked" if isinstance(forced.schema, list) else "json_schema"
        schema = msgspec.json.encode(forced.schema).decode()
        read.keeps_to = Wanted(kind, schema, "tools", as_rendered=True, parts=_parameters(tools))
        read.tokens += self._tokens_within(forced.prefix, parse_special=True)
        read.parser = self._format.parser(text, tools, forced)

    def _answer_or_call(
        self, read: TokenizedPrompt, tools: list[dict[str, Any]], shown: "_Rendered"
    ) -> ReplyParser | None:
        """Bind a reply that is to keep to a schema to that or a call; returns its parser."""
        wanted = read.keeps_to
        if wanted is None or wanted.kind != "json_schema":
            return None
        if self._format.harmony and shown.written:  # it is in the answer already
            return None
        try:
            schema = json.loads(wanted.text)
        except (ValueError, RecursionError):  # it is refused where it is compiled
            return None
        try:
            found = self._format.answer_or_call(schema, tools, shown.prompt)
            if found is None:
                return None
            grammar, parser = found
            text = msgspec.json.encode(grammar).decode()
        except RecursionError:
            raise RequestError("a schema is nested too deep", param="tools") from None
        parts = ((wanted.param, wanted.text), *_parameters(tools))
        read.keeps_to = Wanted("marked", text, wanted.param, parts=parts)
        return parser


def _between_control(
    segments: Messages[PromptSegment], control: "re.Pattern[str]"
) -> Iterator[PromptSegment]:
    """The same text in segments that are tokenized each by itself: where people's text looks like
    a control token, they begin and end at the template's own."""
    text, literal = "", False  # what was not given out yet, and whether it has such a thing
    for part, parse_special in segments:
        if not parse_special:
            if not literal:
                last = max((it.end() for it in control.finditer(text)), default=0)
                if last:
                    yield text[:last], True
                text, literal = text[last:], True
            text += part
            continue
        first = control.search(part) if literal else None
        if first:
            yield text + part[: first.start()], False
            text, literal = part[first.start() :], False
        else:
            text += part
    if text:
        yield text, not literal


def _call_when_begun(syntax: CallSyntax, tools: list[dict[str, Any]]) -> Wanted | None:
    """What a reply keeps to from where it begins a call; None: a schema can't be used."""
    try:
        schema = msgspec.json.encode(call_schema(tools, syntax.arguments_key)).decode()
    except (RequestError, RecursionError):
        return None
    return Wanted(
        "json_schema", schema, "tools", as_rendered=True, after=syntax.call[0], optional=True
    )


def _parameters(tools: list[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """The schemas of their arguments, by the fields that they came in."""
    return tuple(
        (f"tools[{i}].function.parameters", msgspec.json.encode(parameters).decode())
        for i, tool in enumerate(tools)
        if (parameters := tool["function"].get("parameters"))
    )


def _wanted(sampling: SamplingParams) -> Wanted | None:
    if sampling.json_schema is not None:
        return Wanted("json_schema", sampling.json_schema, "response_format")
    if sampling.grammar is not None:
        return Wanted("grammar", sampling.grammar, "grammar")
    if sampling.regex is not None:
        return Wanted("regex", sampling.regex, "guided_regex")
    return None


def _reserve(sampling: SamplingParams, n_ctx: int) -> int:
    """Tokens of the context that trimming keeps free for the reply."""
    quarter = n_ctx // 4
    return quarter if sampling.max_tokens is None else min(sampling.max_tokens, quarter)
