"""Replies that are constrained to a call, or to an answer or a call, and how they are read. Pure
Python.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from appliance.worker.parsers import harmony
from appliance.worker.parsers.base import (
    Content,
    OutputPart,
    ParserChain,
    PlainParser,
    ReplyParser,
)
from appliance.worker.parsers.call_grammar import Node, call_grammar
from appliance.worker.parsers.call_parser import CallParser
from appliance.worker.parsers.syntax import HOLE, ArgumentStyle, CallSyntax
from appliance.worker.parsers.tool_schema import Tool, arguments_schema, call_schema

FORCED = CallSyntax(style=ArgumentStyle.OBJECT)
"""The bare object is what any model can be constrained to."""


class ForcedCall(msgspec.Struct, frozen=True):
    """What constrains a reply to be one tool call."""

    prefix: str
    """It is added to the prompt, special tokens in it parsed as such."""
    schema: dict[str, Any] | list[dict[str, Any]]
    """JSON schema of the whole reply, keys in the order in which they are to be written; or a
    grammar, see `call_grammar`."""
    syntax: CallSyntax | None
    """None: a message to a function in a channel, as gpt-oss writes it."""

    def or_answer(self, answer: Any) -> list[Node]:
        """A grammar of a reply that makes the call, or keeps to the schema `answer` instead."""
        mark = [{"mark": self.prefix}] if self.prefix else []
        body = self.schema if isinstance(self.schema, list) else [{"rendered": self.schema}]
        return [{"any": [[{"json": answer}], [*mark, *body]]}]

    def parser_or_answer(self, tools: Sequence[Tool]) -> ReplyParser:
        """For a reply of `or_answer`."""
        assert self.syntax
        if self.prefix:
            return _EitherWay(self.prefix, CallParser(self.syntax, tools))
        # In an answer there are no marks.
        return CallParser(msgspec.structs.replace(self.syntax, section=("", "")), tools)

    def parser(self, tools: Sequence[Tool], thought: ReplyParser | None) -> ReplyParser:
        """For the reply, the prefix of which is read already. `thought`: reads the thought before
        it, if any."""
        calls: ReplyParser
        if self.syntax is None:
            calls = harmony.HarmonyParser([tool["function"]["name"] for tool in tools])
        else:
            calls = CallParser(self.syntax, tools)
        return _CallsOnly(ParserChain(thought, calls) if thought else calls, self.prefix)


class _EitherWay:
    """The beginning says whether it is a call; an answer may have any text in it. Implements
    `ReplyParser`."""

    def __init__(self, mark: str, call: ReplyParser) -> None:
        self._mark = mark
        self._call = call
        self._begun = ""
        self._parser: ReplyParser | None = None

    @property
    def over(self) -> bool:
        return self._parser is not None and self._parser.over

    def feed(self, text: str) -> list[OutputPart]:
        if self._parser is None:
            self._begun += text
            if self._mark.startswith(self._begun) and self._begun != self._mark:
                return []
            text = self._begun
            self._parser = self._call if text.startswith(self._mark) else PlainParser()
        return self._parser.feed(text)

    def finish(self) -> list[OutputPart]:
        # The beginning of a mark alone is a call that was cut short.
        return self._parser.finish() if self._parser else []


class _CallsOnly:
    """Leaves out text, which is that of a call that was cut short. Implements `ReplyParser`."""

    def __init__(self, parser: ReplyParser, prefix: str) -> None:
        self._parser = parser
        self._begun = parser.feed(prefix)

    @property
    def over(self) -> bool:
        return self._parser.over

    def feed(self, text: str) -> list[OutputPart]:
        return self._calls(self._parser.feed(text))

    def finish(self) -> list[OutputPart]:
        return self._calls(self._parser.finish())

    def _calls(self, parts: list[OutputPart]) -> list[OutputPart]:
        begun, self._begun = self._begun, []
        return [part for part in [*begun, *parts] if not isinstance(part, Content)]


def forced_call(syntax: CallSyntax | None, chosen: Sequence[Tool], close: str) -> ForcedCall:
    """
    Args:
        syntax: how the model writes calls; None: unknown.
        chosen: the functions, of which it is to call one.
        close: ends the thought that the prompt left open.

    Raises:
        RequestError: a schema can't be used; `param` is `tools`.
    """
    if syntax and syntax.style is ArgumentStyle.OBJECT and HOLE not in syntax.call[0]:
        schema = call_schema(chosen, syntax.arguments_key, syntax.name_key)
        opening = f"{syntax.section[0]}{'[' if syntax.listed else ''}{syntax.call[0]}"
        if not syntax.bare:
            space = "\n" if syntax.call[0].endswith(">") else ""
            return ForcedCall(f"{close}{opening}{space}", schema, syntax)
        return ForcedCall(close, schema, syntax)
    named = syntax and syntax.style is ArgumentStyle.JSON and syntax.call[0]
    if syntax and named and len(chosen) == 1 and HOLE not in syntax.call[0]:
        name = chosen[0]["function"]["name"]
        after = syntax.after_name.replace(HOLE, "0")
        prefix = f"{close}{syntax.section[0]}{syntax.call[0]}{name}{after}"
        if syntax.after_name.endswith("json"):
            prefix += "\n"
        return ForcedCall(prefix, arguments_schema(chosen[0]), syntax)
    if syntax and syntax.call[0] and HOLE not in syntax.call[0]:
        grammar = call_grammar(syntax, chosen)
        if grammar is not None:
            section = f"{syntax.section[0]}\n" if syntax.section[0] else ""
            return ForcedCall(f"{close}{section}{syntax.call[0]}", grammar, syntax)
    return ForcedCall(close, call_schema(chosen), FORCED)
