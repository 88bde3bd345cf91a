"""Prompts become sequences, and texts inputs for embeddings: rendered, tokenized, measured.

Lives on the intake thread. With a prompt's tokens comes the parser that its reply is read with.
"""

import dataclasses
import logging
import queue
import random
import threading
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from appliance.engine.kv_files import opaque
from appliance.engine.protocol import Begun, Cancel, Embed, Event, Failed, Generate
from appliance.engine.types import (
    ChatMessage,
    ChatPrompt,
    EmbedRequest,
    GenerationRequest,
    Prompt,
    SamplingParams,
    TextPrompt,
    TokenPrompt,
)
from appliance.errors import ApplianceError, ContextLengthExceeded, InternalError, RequestError
from appliance.worker.chat_template import reasoning_effort
from appliance.worker.chat_template.sandbox import SandboxedGrammars, SandboxedTemplate
from appliance.worker.chat_template.trimming import cut_points
from appliance.worker.constraints.compiler import ConstraintCompiler, Wanted
from appliance.worker.parsers.base import ReplyParser, ResumedParser
from appliance.worker.parsers.detect import detect
from appliance.worker.runners.base import Runner
from appliance.worker.scheduler.embedding import EmbeddingJob
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope
from appliance.worker.scheduler.sequence import Sequence

log = logging.getLogger(__name__)


class InputProcessor:
    """Prompts → sequences, for the step loop to take; in order, also with what cancels them."""

    def __init__(
        self,
        runner: Runner,
        template: SandboxedTemplate,
        grammars: SandboxedGrammars,
        send: Callable[[list[Event]], None],
        enqueue: Callable[[Sequence | EmbeddingJob | Cancel], None],
    ) -> None:
        """`enqueue` hands over to the step loop."""
        self._runner = runner
        self._tokenizer = PromptTokenizer(runner, template)
        self._constraints = ConstraintCompiler(runner, grammars.refusal)
        self._send = send
        self._enqueue = enqueue
        self._commands: queue.SimpleQueue[Generate | Embed | Cancel] = queue.SimpleQueue()

    def start(self) -> None:
        """Start the intake thread, which ends with the process."""
        threading.Thread(target=self._run, name="intake", daemon=True).start()

    def put(self, command: Generate | Embed | Cancel) -> None:
        """From any thread."""
        self._commands.put(command)

    def _run(self) -> None:
        while True:
            command = self._commands.get()
            if isinstance(command, Cancel):
                self._enqueue(command)
            elif read := self._accept(command):
                self._enqueue(read)

    def _accept(self, command: Generate | Embed) -> Sequence | EmbeddingJob | None:
        """What is to be computed, after telling that it was accepted; None when it was refused."""
        read: Sequence | EmbeddingJob
        try:
            if isinstance(command, Embed):
                read = self._job(command.id, command.request)
            else:
                read = self._sequence(command.id, command.request, command.begun)
        except ApplianceError as ex:
            self._send([Failed(command.id, ex.code, ex.message, ex.param)])
            return None
        except Exception:
            log.exception("prompt of request %d could not be read", command.id)
            fault = InternalError("the prompt could not be read")
            self._send([Failed(command.id, fault.code, fault.message)])
            return None
        self._send([read.accepted(self._runner.info.n_ctx)])
        return read

    def _job(self, id: int, request: EmbedRequest) -> EmbeddingJob:
        model = self._runner.embedding_model()
        if request.dimensions not in (None, model.dimensions):
            raise RequestError(
                f"this model's embeddings have {model.dimensions} dimensions, and no others",
                param="dimensions",
            )
        inputs = []
        for number, prompt in enumerate(request.inputs):
            tokens = self._tokenizer.read_input(prompt, f"input[{number}]")
            if len(tokens) > model.longest and request.truncate:
                del tokens[model.longest - 1 : -1]  # the last one may end what the model reads
            if len(tokens) > model.longest:
                raise ContextLengthExceeded(
                    f"input[{number}] has {len(tokens)} tokens, "
                    f"and an input may have {model.longest}",
                    param=f"input[{number}]",
                )
            inputs.append(array("i", tokens))
        return EmbeddingJob(id, inputs)

    def _sequence(self, id: int, request: GenerationRequest, begun: Begun | None) -> Sequence:
        if not self._runner.generates:
            raise RequestError("this model gives embeddings, and writes no text", param="model")
        n_ctx = self._runner.info.n_ctx
        read = self._tokenizer.read(request.prompt, request.sampling)
        sampling, tokens = request.sampling, read.tokens
        if not tokens:
            raise RequestError("the prompt is empty", param="prompt")
        written = begun.tokens if begun else []
        if len(tokens) + len(written) >= n_ctx:
            raise ContextLengthExceeded(
                f"the prompt has {len(tokens)} tokens, and the context holds {n_ctx}, "
                "at least one of which is for the reply",
                param="messages" if isinstance(request.prompt, ChatPrompt) else "prompt",
            )
        room = n_ctx - len(tokens)
        constraint = self._constraints.compile(read.keeps_to) if read.keeps_to else None
        if begun:
            seed = begun.seed
        else:
            seed = sampling.seed if sampling.seed is not None else random.getrandbits(32)
        session = opaque(request.session) if request.session else ""
        scope = Scope(opaque(request.owner), session, read.common)
        sequence = Sequence(
            id,
            PromptTokens(tokens, scope),
            sampling,
            sampler=self._runner.sampler(sampling, seed, tokens[-64:], constraint, written),
            parser=read.parser,
            seed=seed,
            max_completion_tokens=room
            if sampling.max_tokens is None
            else min(room, sampling.max_tokens),
            dropped_messages=read.dropped_messages,
            owner=request.owner,
        )
        if begun:
            sequence.go_on(begun, self._runner.token_to_bytes)
        return sequence


@dataclass(slots=True)
class TokenizedPrompt:
    """A prompt as tokens."""

    tokens: list[int]
    keeps_to: Wanted | None = None
    """What the reply is bound by: the request's own, or a call that it forces."""
    parser: ReplyParser | None = None
    """Of the reply; None: it is all text."""
    dropped_messages: int = 0
    common: int = 0
    """Leading tokens that an administrator shares with everybody."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """Messages as the model sees them."""

    tokens: list[int]
    prompt: str
    """Up to where the assistant's reply begins."""
    written: str
    """What it has written already; `tokens` end with it."""


class PromptTokenizer:
    """Lives on the intake thread."""

    def __init__(self, runner: Runner, template: SandboxedTemplate) -> None:
        """`template` has been given the model's template to compile."""
        self._runner = runner
        self._template = template
        self._format = detect(runner.chat_template)
        self._common = ("", PromptTokens())
        """The last system prompt that is shared, and all that a prompt with it begins with."""
        runner.preserve_tokens(self._format.preserved_tokens)

    def read(self, prompt: Prompt, sampling: SamplingParams) -> TokenizedPrompt:
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
            tokens = self._runner.tokenize(prompt.text, parse_special=True)
            return TokenizedPrompt(self._runner.with_bos(tokens), _wanted(sampling))
        assert isinstance(prompt, TokenPrompt)
        self._check_tokens(prompt.tokens, "prompt")
        return TokenizedPrompt(prompt.tokens, _wanted(sampling))

    def read_input(self, prompt: TextPrompt | TokenPrompt, param: str) -> list[int]:
        """Tokens of something to make a vector of, with what the model wants around a text.

        Raises:
            RequestError: there is nothing to read; `param` is named.
        """
        if isinstance(prompt, TextPrompt):
            tokens = self._runner.tokenize_with_special(prompt.text)
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

    def _chat(self, prompt: ChatPrompt, sampling: SamplingParams) -> TokenizedPrompt:
        n_ctx = self._runner.info.n_ctx
        wanted = n_ctx - _reserve(sampling, n_ctx)
        system = [m for m in prompt.messages[:1] if m.role == "system"]
        rest = prompt.messages[len(system) :]
        shown = self._rendered(prompt, prompt.messages)
        dropped = 0
        if prompt.trim and len(shown.tokens) > wanted:
            complete = rest[:-1] if prompt.continue_final else rest
            points = iter(cut_points(complete, n_ctx * 3 // 8, self._count))
            while len(shown.tokens) > wanted and (point := next(points, 0)):
                dropped = point
                shown = self._rendered(prompt, system + rest[dropped:])
        read = TokenizedPrompt(shown.tokens, _wanted(sampling), dropped_messages=dropped)
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
            tokens: list[int] = []
            for part, parse_special in segments:
                tokens += self._runner.tokenize(part[:left], parse_special=parse_special)
                left = max(0, left - len(part))
            self._common = (system, PromptTokens(self._runner.with_bos(tokens)))
        return self._common[1]

    def _count(self, text: str) -> int:
        return len(self._runner.tokenize(text, parse_special=False))

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
        segments = self._template.render(messages[: len(messages) - len(begun)], tools, variables)
        text = "".join(text for text, _ in segments)
        tokens: list[int] = []
        for part, parse_special in segments:
            tokens += self._runner.tokenize(part, parse_special=parse_special)
        tokens = self._runner.with_bos(tokens)
        written = ""
        for reply in begun:
            thought = reply.reasoning_content or ""
            for part, parse_special in self._format.prefill_segments(text, thought, reply.content):
                tokens += self._tokens_within(part, parse_special=parse_special)
                written += part
        return _Rendered(tokens, text, written)

    def _tokens_within(self, text: str, *, parse_special: bool) -> list[int]:
        """Tokens of a text that stands in the middle of a line."""
        tokens = self._runner.tokenize(text, parse_special=parse_special)
        read = b"".join(map(self._runner.token_to_bytes, tokens))
        if len(read) - len(read.lstrip(b" ")) <= len(text) - len(text.lstrip(" ")):
            return tokens
        # SentencePiece takes the beginning of a text for the beginning of a word.
        line = self._runner.tokenize("\n", parse_special=False)
        return self._runner.tokenize(f"\n{text}", parse_special=parse_special)[len(line) :]

    def _choose_parser(self, prompt: ChatPrompt, read: TokenizedPrompt, shown: "_Rendered") -> None:
        tools = prompt.tools or []
        names = [tool["function"]["name"] for tool in tools]
        text = shown.prompt
        if prompt.tool_choice == "none":
            names = []
        try:
            forced = self._format.forced(tools, prompt.tool_choice, text)
        except RecursionError:
            raise RequestError("a tool's schema is nested too deep", param="tools") from None
        if forced is None:
            if read.keeps_to and (mark := self._format.thought_end(text, shown.written)):
                read.keeps_to = dataclasses.replace(read.keeps_to, after=mark)
            elif read.keeps_to and shown.written:
                read.keeps_to = dataclasses.replace(
                    read.keeps_to, begun=prompt.messages[-1].content
                )
            read.parser = self._format.parser(text, names)
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
        schema = msgspec.json.encode(forced.schema).decode()
        read.keeps_to = Wanted("json_schema", schema, "tools", parts=_parameters(tools))
        read.tokens += self._runner.tokenize(forced.prefix, parse_special=True)
        read.parser = self._format.parser(text, names, forced.format)
        read.parser.feed(forced.prefix)


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
    return None


def _reserve(sampling: SamplingParams, n_ctx: int) -> int:
    """Tokens of the context that trimming keeps free for the reply."""
    quarter = n_ctx // 4
    return quarter if sampling.max_tokens is None else min(sampling.max_tokens, quarter)
