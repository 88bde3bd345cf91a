"""What a model's chat template reveals about its replies: how it thinks, how it calls functions.

    format = detect(template, render)
    parser = format.parser(prompt, tools)             parts out of the text of one reply
    forced = format.forced(tools, choice, prompt)     a call that the reply is constrained to

Pure Python.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from appliance.worker.parsers import harmony, reasoning
from appliance.worker.parsers.base import (
    ParserChain,
    PlainParser,
    PromptSegment,
    ReplyParser,
    ThoughtChain,
)
from appliance.worker.parsers.call_grammar import Node
from appliance.worker.parsers.call_parser import CallParser
from appliance.worker.parsers.derive import RenderTemplate, derive
from appliance.worker.parsers.forced import FORCED, ForcedCall, forced_call
from appliance.worker.parsers.known import FUNCTIONARY, known_syntax
from appliance.worker.parsers.syntax import CallSyntax
from appliance.worker.parsers.tool_schema import Choice, Tool, arguments_schema, chosen_tools


class OutputFormat(msgspec.Struct, frozen=True):
    """How a model writes replies."""

    calls: CallSyntax | None = None
    """None: it wasn't made to call functions, or does it in a way that isn't known here."""
    tags: reasoning.Tags | None = None
    """None: it doesn't think between tags; gpt-oss does so in a channel."""
    dropped: tuple[str, ...] = ()
    """Marks around answers, which are no part of them."""
    shows_calls: bool = True
    """False: the template leaves out the calls of earlier replies."""
    harmony: bool = False
    """It writes messages in channels, as gpt-oss does."""

    @property
    def thinks(self) -> bool:
        """It thinks before it answers, in a way that is known here."""
        return self.tags is not None or self.harmony

    @property
    def preserved_tokens(self) -> frozenset[str]:
        """Texts that the parsers look for. A token with such a text has to be detokenized to it,
        even if it is a special token, of which nothing is left otherwise."""
        if self.harmony:
            return harmony.MARKS
        tags = {self.tags.opening, self.tags.closing} if self.tags else set()
        return (self.calls.marks if self.calls else frozenset()) | tags | set(self.dropped)

    def parser(
        self, prompt: str, tools: Sequence[Tool] = (), forced: ForcedCall | None = None
    ) -> ReplyParser:
        """A parser for one reply to the rendered `prompt`, of which only the end matters.

        `tools`: the functions that were offered; without any, calls are content. `forced`: what the
        reply is constrained to.
        """
        if forced:
            return forced.parser(tools, self._thought(prompt))
        if self.harmony:
            return harmony.HarmonyParser([tool["function"]["name"] for tool in tools])
        calls: ReplyParser = PlainParser()
        if self.dropped or (self.calls and tools):
            calls = CallParser(self.calls or FORCED, tools if self.calls else (), self.dropped)
            if self.calls is FUNCTIONARY and prompt.endswith(FUNCTIONARY.call[0]):
                calls.feed(FUNCTIONARY.call[0])
        thought = self._thought(prompt)
        if thought and self.calls and self.calls.openings and tools:
            syntax = msgspec.structs.replace(self.calls, offered_only=True, bare=False)
            return ThoughtChain(thought, CallParser(syntax, tools), calls)
        return ParserChain(thought, calls) if thought else calls

    def answer_or_call(
        self, answer: Any, tools: Sequence[Tool], prompt: str
    ) -> tuple[list[Node], ReplyParser] | None:
        """A grammar of a reply to the rendered `prompt` that keeps to the schema `answer` or calls
        one of `tools`, and its parser. Where the prompt leaves a thought open, the grammar begins
        behind it. None: the schema alone is all there is.

        Raises:
            RequestError: a tool's schema can't be used; `param` is `tools`.
        """
        if self.harmony:
            calls = [(tool["function"]["name"], arguments_schema(tool)) for tool in tools]
            return harmony.grammar(answer, calls), self.parser(prompt, tools)
        if not tools:
            return None
        call = forced_call(self.calls, tools, "")
        thought, parser = self._thought(prompt), call.parser_or_answer(tools)
        return call.or_answer(answer), ParserChain(thought, parser) if thought else parser

    def _thought(self, prompt: str) -> reasoning.ReasoningParser | None:
        if self.tags is None:
            return None
        opened = reasoning.opened_by(prompt, self.tags)
        return reasoning.ReasoningParser(self.tags, opened=opened)

    def prefill_segments(self, prompt: str, thought: str, answer: str) -> list[PromptSegment]:
        """How this model writes the beginning of a reply to the rendered `prompt`."""
        if self.harmony:
            return harmony.prefill_segments(thought, answer)
        if self.tags is None:
            return [(answer, False)]
        opened = reasoning.opened_by(prompt, self.tags)
        return reasoning.prefill_segments(self.tags, thought, answer, opened=opened)

    def thought_end(self, prompt: str, written: str) -> str:
        """What ends the thought that the rendered `prompt` and the beginning of its reply leave
        open; empty: there is none."""
        if self.tags is None or not reasoning.opened_by(prompt, self.tags):
            return ""
        return "" if self.tags.closing in written else self.tags.closing

    def forced(self, tools: Sequence[Tool], choice: Choice, prompt: str) -> ForcedCall | None:
        """What constrains the reply to the rendered `prompt` to the chosen call; None when the
        model is free to choose.

        Raises:
            RequestError: there is no such function, or its schema can't be used; `param` says
                which of `tool_choice` and `tools`.
        """
        if choice in ("auto", "none"):
            return None
        chosen = chosen_tools(tools, choice)
        if len(chosen) == 1 and self.harmony:
            prefix = harmony.call_header(chosen[0]["function"]["name"])
            return ForcedCall(prefix, arguments_schema(chosen[0]), None)
        close = ""
        if self.tags and reasoning.opened_by(prompt, self.tags):
            close = f"\n{self.tags.closing}\n\n"
        return forced_call(self.calls, chosen, close)


def detect(template: str | None, render: RenderTemplate | None = None) -> OutputFormat:
    """The format that a chat template was written for; None: a model without one.

    `render`: the template at work; without it, what its text names is all there is.
    """
    if template is None:
        return OutputFormat()
    if harmony.CHANNEL in template and harmony.MESSAGE in template:
        return OutputFormat(harmony=True)
    tags = reasoning.detect(template)
    syntax = known_syntax(template)
    if render is None:
        return OutputFormat(syntax, tags)
    if syntax is FUNCTIONARY:
        return OutputFormat(syntax, tags, (">>>all\n",))
    found = derive(render, tags)
    calls = _chosen(found.calls, syntax)
    return OutputFormat(calls, found.tags, found.dropped, shows_calls=found.shows_calls)


def _chosen(derived: CallSyntax | None, known: CallSyntax | None) -> CallSyntax | None:
    """What was derived, unless the known one says more about the same."""
    if derived is None or known is None:
        return derived or known
    same = known.bare and not derived.openings
    if same or (derived.style, derived.after_name, derived.call) == (
        known.style,
        known.after_name or ...,
        known.call,
    ):
        return msgspec.structs.replace(known, parallel=derived.parallel)
    return derived
