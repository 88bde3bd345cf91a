"""Formats of calls that are known beforehand, for templates that don't show them. Pure Python."""

import json
from collections.abc import Sequence

from appliance.worker.parsers.syntax import HOLE, ArgumentStyle, CallSyntax

HERMES = CallSyntax(style=ArgumentStyle.OBJECT, call=("<tool_call>", "</tool_call>"))
"""`<tool_call>{"name": …, "arguments": {…}}</tool_call>`, several of them: Hermes, Qwen; SmolLM3,
whose template gives these instructions and renders no call."""
GENERIC_SYNTAX = CallSyntax(
    style=ArgumentStyle.OBJECT, call=("<tool_call>", "</tool_call>"), parallel=False
)
"""The syntax for models whose templates do not support tools; a grammar enforces it."""
LLAMA = CallSyntax(
    style=ArgumentStyle.OBJECT,
    section=("<|python_tag|>", ""),
    separator=";",
    arguments_key="parameters",
    bare=True,
)
"""The bare object `{"name": …, "parameters": {…}}` instead of an answer, after `<|python_tag|>` or
not, several with `;` between them: Llama 3.x, whose template shows no `<|python_tag|>`."""
MISTRAL = CallSyntax(style=ArgumentStyle.OBJECT, section=("[TOOL_CALLS]", ""), listed=True)
"""`[TOOL_CALLS][{"name": …, "arguments": {…}}, …]`: Mistral."""
MISTRAL_NAMED = CallSyntax(
    style=ArgumentStyle.JSON,
    call=("[TOOL_CALLS]", ""),
    after_name="[ARGS]",
    after_label=f"[CALL_ID]{HOLE}[ARGS]",
)
"""`[TOOL_CALLS]name[ARGS]{…}`, several of them, perhaps with ids: Mistral since 2025."""
LFM2 = CallSyntax(
    style=ArgumentStyle.PYTHON,
    section=("<|tool_call_start|>[", "]<|tool_call_end|>"),
    separator=",",
    after_name="(",
)
"""`<|tool_call_start|>[name(key="value"), …]<|tool_call_end|>`: LFM2, whose template shows no
call."""
GRANITE = CallSyntax(style=ArgumentStyle.OBJECT, section=("<|tool_call|>", ""), listed=True)
"""`<|tool_call|>[{"name": …, "arguments": {…}}, …]`: Granite 3, whose template gives these
instructions and renders no call."""
FUNCTIONARY = CallSyntax(style=ArgumentStyle.JSON, call=(">>>", ""), offered_only=True)
"""`>>>name` and a line with the arguments: Functionary 3.2, whose prompts end with the first `>>>`,
so that no mark stands before the first call. `>>>all` is the answer."""


def written(syntax: CallSyntax, calls: Sequence[tuple[str, str]]) -> str:
    """Calls with their arguments, as a model writes them whose template shows none."""
    if syntax.style is ArgumentStyle.PYTHON:
        each = [f"{name}({_keywords(arguments)})" for name, arguments in calls]
    else:
        each = [
            f'{{"{syntax.name_key}": {json.dumps(name)}, "{syntax.arguments_key}": {arguments}}}'
            for name, arguments in calls
        ]
    if syntax.call[0]:
        each = [f"{syntax.call[0]}\n{call}\n{syntax.call[1]}" for call in each]
    if syntax.listed or syntax.separator:
        text = ", ".join(each)
        text = f"[{text}]" if syntax.listed else text
    else:
        text = "\n".join(each)
    return f"{syntax.section[0]}{text}{syntax.section[1]}"


def _keywords(arguments: str) -> str:
    try:
        values = json.loads(arguments)
    except ValueError:
        return ""
    return ", ".join(f"{key}={value!r}" for key, value in values.items())


_OTHER_CALLS = ("<function=", "<arg_key>")
"""XML of their own that some models put between Hermes's tags: Qwen3-Coder, GLM."""


def known_syntax(template: str) -> CallSyntax | None:
    """The format that a template's text names; None: none of these."""
    if "tools" not in template:
        return None
    if "[TOOL_CALLS]" in template:
        return MISTRAL_NAMED if "[ARGS]" in template else MISTRAL
    if "<tool_call>" in template and not any(other in template for other in _OTHER_CALLS):
        return HERMES
    if "ipython" in template and '"parameters": ' in template:
        return LLAMA
    if ">>>all" in template:
        return FUNCTIONARY
    if "<|tool_call|>" in template:
        return GRANITE
    if "List of tools: " in template:
        return LFM2
    return None
