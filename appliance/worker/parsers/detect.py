"""What a model's chat template reveals about its replies: how it thinks, how it calls functions.

    format = detect(template)
    parser = format.parser(prompt, names)             parts out of the text of one reply
    forced = format.forced(tools, choice, prompt)     a call that the reply is constrained to

Pure Python.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from appliance.worker.parsers import harmony, reasoning
from appliance.worker.parsers.base import ParserChain, PlainParser, PromptSegment, ReplyParser
from appliance.worker.parsers.tool_calls import (
    ARGS,
    CALL_ID,
    HERMES,
    HERMES_END,
    PYTHON_TAG,
    TOOL_CALLS,
    ToolCallParser,
    ToolFormat,
)
from appliance.worker.parsers.tool_schema import (
    Choice,
    Tool,
    arguments_schema,
    call_schema,
    chosen_tools,
)

_MARKS = {
    None: frozenset[str](),
    ToolFormat.HERMES: frozenset({HERMES, HERMES_END}),
    ToolFormat.LLAMA: frozenset({PYTHON_TAG}),
    ToolFormat.MISTRAL: frozenset({TOOL_CALLS}),
    ToolFormat.MISTRAL_NAMED: frozenset({TOOL_CALLS, CALL_ID, ARGS}),
    ToolFormat.HARMONY: harmony.MARKS,
}
_OTHER_CALLS = ("<function=", "<arg_key>")
"""XML of their own that some models put between Hermes's tags: Qwen3-Coder, GLM."""


class ForcedCall(msgspec.Struct, frozen=True):
    """What constrains a reply to be one tool call."""

    prefix: str
    """It is added to the prompt, special tokens in it parsed as such, and fed to the parser
    before the reply."""
    schema: dict[str, Any]
    """JSON schema of the whole reply; keys in the order in which they are to be written."""
    format: ToolFormat
    """For `OutputFormat.parser`."""


class OutputFormat(msgspec.Struct, frozen=True):
    """How a model writes replies."""

    tools: ToolFormat | None = None
    """None: it wasn't made to call functions, or does it in a way that isn't known here."""
    tags: reasoning.Tags | None = None
    """None: it doesn't think between tags; gpt-oss does so in a channel."""

    @property
    def thinks(self) -> bool:
        """It thinks before it answers, in a way that is known here."""
        return self.tags is not None or self.tools is ToolFormat.HARMONY

    @property
    def preserved_tokens(self) -> frozenset[str]:
        """Texts that the parsers look for. A token with such a text has to be detokenized to it,
        even if it is a special token, of which nothing is left otherwise."""
        tags = {self.tags.opening, self.tags.closing} if self.tags else set()
        return _MARKS[self.tools] | tags

    def parser(
        self, prompt: str, names: Collection[str] = (), format: ToolFormat | None = None
    ) -> ReplyParser:
        """A parser for one reply to the rendered `prompt`, of which only the end matters.

        `names`: the functions that were offered; without any, calls are content. `format`: that of
        a forced reply.
        """
        format = format or self.tools
        if format is ToolFormat.HARMONY:
            return harmony.HarmonyParser(names)
        calls = ToolCallParser(format, names) if format and names else PlainParser()
        if self.tags is None:
            return calls
        opened = reasoning.opened_by(prompt, self.tags)
        return ParserChain(reasoning.ReasoningParser(self.tags, opened=opened), calls)

    def prefill_segments(self, prompt: str, thought: str, answer: str) -> list[PromptSegment]:
        """How this model writes the beginning of a reply to the rendered `prompt`."""
        if self.tools is ToolFormat.HARMONY:
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
        close = ""
        if self.tags and reasoning.opened_by(prompt, self.tags):
            close = f"\n{self.tags.closing}\n\n"
        name = chosen[0]["function"]["name"]
        if len(chosen) == 1 and self.tools is ToolFormat.HARMONY:
            prefix = f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
            return ForcedCall(prefix, arguments_schema(chosen[0]), self.tools)
        if len(chosen) == 1 and self.tools is ToolFormat.MISTRAL_NAMED:
            return ForcedCall(
                f"{close}{TOOL_CALLS}{name}{ARGS}", arguments_schema(chosen[0]), self.tools
            )
        key = "parameters" if self.tools is ToolFormat.LLAMA else "arguments"
        schema = call_schema(chosen, key)
        if self.tools is ToolFormat.HERMES:
            return ForcedCall(f"{close}{HERMES}\n", schema, self.tools)
        if self.tools is ToolFormat.MISTRAL:
            return ForcedCall(f"{close}{TOOL_CALLS}[", schema, self.tools)
        # The bare object is what any model can be constrained to.
        return ForcedCall(close, schema, ToolFormat.LLAMA)


def detect(template: str | None) -> OutputFormat:
    """The format that a chat template was written for; None: a model without one."""
    if template is None:
        return OutputFormat()
    return OutputFormat(_tool_format(template), reasoning.detect(template))


def _tool_format(template: str) -> ToolFormat | None:
    if harmony.CHANNEL in template and harmony.MESSAGE in template:
        return ToolFormat.HARMONY
    if "tools" not in template:
        return None
    if TOOL_CALLS in template:
        return ToolFormat.MISTRAL_NAMED if ARGS in template else ToolFormat.MISTRAL
    if HERMES in template and not any(other in template for other in _OTHER_CALLS):
        return ToolFormat.HERMES
    if "ipython" in template and '"parameters": ' in template:
        return ToolFormat.LLAMA
    return None
