"""Prompts become tokens, and with them comes what the model's reply will have to be read with."""

from dataclasses import dataclass

import msgspec

from appliance.engine.types import (
    ChatMessage,
    ChatPrompt,
    Prompt,
    SamplingParams,
    TextPrompt,
    TokenPrompt,
)
from appliance.errors import RequestError
from appliance.worker.chat_template import reasoning_effort
from appliance.worker.chat_template.sandbox import TemplateGuard
from appliance.worker.chat_template.trimming import beginnings
from appliance.worker.parsers.base import ReplyParser, Resumed
from appliance.worker.parsers.detect import detect
from appliance.worker.runners.base import Runner


@dataclass(slots=True)
class Read:
    """A prompt that was read."""

    tokens: list[int]
    sampling: SamplingParams
    """With the schema that a forced tool call brings along."""
    parser: ReplyParser | None = None
    """Understands the reply; None: it is all text."""
    dropped_messages: int = 0


@dataclass(frozen=True, slots=True)
class _Rendered:
    """Messages as the model sees them."""

    tokens: list[int]
    prompt: str
    """Up to where the assistant begins to speak."""
    written: str
    """What it has said already; `tokens` end with it."""


class PromptReader:
    """Lives on the intake thread."""

    def __init__(self, runner: Runner, template: TemplateGuard) -> None:
        """`template` has been given the model's template to compile."""
        self._runner = runner
        self._template = template
        self._style = detect(runner.chat_template)
        runner.reveal(self._style.marks)

    def read(self, prompt: Prompt, sampling: SamplingParams) -> Read:
        """Tokens of the prompt.

        Raises:
            RequestError: it cannot be read; `param` names the field.
        """
        n_vocab = self._runner.n_vocab
        if not all(0 <= token < n_vocab for token, _ in sampling.logit_bias):
            raise RequestError("logit_bias names a token that is none", param="logit_bias")
        if isinstance(prompt, ChatPrompt):
            return self._chat(prompt, sampling)
        if isinstance(prompt, TextPrompt):
            tokens = self._runner.tokenize(prompt.text, control=True)
            return Read(self._runner.with_bos(tokens), sampling)
        assert isinstance(prompt, TokenPrompt)
        self._check_tokens(prompt.tokens, "prompt")
        return Read(prompt.tokens, sampling)

    def read_input(self, prompt: TextPrompt | TokenPrompt, param: str) -> list[int]:
        """Tokens of something to make a vector of, with what the model wants around a text.

        Raises:
            RequestError: there is nothing to read; `param` is named.
        """
        if isinstance(prompt, TextPrompt):
            tokens = self._runner.wrapped(prompt.text)
        else:
            tokens = prompt.tokens
            self._check_tokens(tokens, param)
        if not tokens:
            raise RequestError(f"{param} is empty", param=param)
        return tokens

    def _check_tokens(self, tokens: list[int], param: str) -> None:
        n_vocab = self._runner.n_vocab
        if not all(0 <= token < n_vocab for token in tokens):
            raise RequestError(f"tokens must lie between 0 and {n_vocab - 1}", param=param)

    def _chat(self, prompt: ChatPrompt, sampling: SamplingParams) -> Read:
        n_ctx = self._runner.info.n_ctx
        wanted = n_ctx - _reserve(sampling, n_ctx)
        system = [m for m in prompt.messages[:1] if m.role == "system"]
        rest = prompt.messages[len(system) :]
        shown = self._rendered(prompt, prompt.messages)
        dropped = 0
        if prompt.trim and len(shown.tokens) > wanted:
            asked = rest[:-1] if prompt.continue_final else rest
            places = iter(beginnings(asked, n_ctx * 3 // 8, self._count))
            while len(shown.tokens) > wanted and (place := next(places, 0)):
                dropped = place
                shown = self._rendered(prompt, system + rest[dropped:])
        read = Read(shown.tokens, sampling, dropped_messages=dropped)
        if prompt.understand:
            self._understand(prompt, read, shown)
        return read

    def _count(self, text: str) -> int:
        return len(self._runner.tokenize(text, control=False))

    def _rendered(self, prompt: ChatPrompt, messages: list[ChatMessage]) -> "_Rendered":
        tools = prompt.tools if prompt.tool_choice != "none" else None
        begun = messages[-1:] if prompt.continue_final else []
        if any(m.role != "assistant" or m.tool_calls for m in begun):
            raise RequestError("only a reply of the assistant's can go on", param="messages")
        told = reasoning_effort.variables(
            self._runner.chat_template, prompt.effort, thinks=self._style.thinks
        )
        segments = self._template.render(messages[: len(messages) - len(begun)], tools, told)
        text = "".join(text for text, _ in segments)
        tokens: list[int] = []
        for part, control in segments:
            tokens += self._runner.tokenize(part, control=control)
        tokens = self._runner.with_bos(tokens)
        written = ""
        for reply in begun:
            thought = reply.reasoning_content or ""
            for part, control in self._style.begun(text, thought, reply.content):
                tokens += self._tokens_within(part, control=control)
                written += part
        return _Rendered(tokens, text, written)

    def _tokens_within(self, text: str, *, control: bool) -> list[int]:
        """Tokens of a text that stands in the middle of a line."""
        tokens = self._runner.tokenize(text, control=control)
        read = b"".join(map(self._runner.piece, tokens))
        if len(read) - len(read.lstrip(b" ")) <= len(text) - len(text.lstrip(" ")):
            return tokens
        # SentencePiece: what begins a text is taken for the beginning of a word.
        line = self._runner.tokenize("\n", control=False)
        return self._runner.tokenize(f"\n{text}", control=control)[len(line) :]

    def _understand(self, prompt: ChatPrompt, read: Read, shown: "_Rendered") -> None:
        tools = prompt.tools or []
        names = [tool["function"]["name"] for tool in tools]
        text = shown.prompt
        if prompt.tool_choice == "none":
            names = []
        forced = self._style.forced(tools, prompt.tool_choice, text)
        if forced is None:
            read.parser = self._style.parser(text, names)
            if shown.written:
                begun = prompt.messages[-1]
                told = begun.content or begun.reasoning_content or ""
                read.parser = Resumed(read.parser, shown.written, told)
            return
        if read.sampling.grammar or read.sampling.json_schema:
            raise RequestError(
                "tool_choice forces a call, and response_format or grammar something else",
                param="tool_choice",
            )
        schema = msgspec.json.encode(forced.schema).decode()
        read.sampling = msgspec.structs.replace(read.sampling, json_schema=schema)
        read.tokens += self._runner.tokenize(forced.prefix, control=True)
        read.parser = self._style.parser(text, names, forced.format)
        read.parser.feed(forced.prefix)


def _reserve(sampling: SamplingParams, n_ctx: int) -> int:
    """Tokens of the context that trimming keeps free for the reply."""
    quarter = n_ctx // 4
    return quarter if sampling.max_tokens is None else min(sampling.max_tokens, quarter)
