"""What a model can do, going by the text of its chat template. Pure Python.

The worker finds out by having the template render examples, which is not for the process that lists
models; a test compares the two for each template of llama.cpp's.
"""

import re

AGENT_TOKENS = 24_000
"""A coding agent's first prompt has 9,000 to 20,000 tokens, and its answers need some as well."""

_TOOLS = re.compile(r"\btools\b|\b(xml|available)_tools\b|tool_calls?\b")
_THOUGHT = re.compile(
    r"</[\w:]*think|/THINK\]|END_THINKING|<channel\|>|<\|channel\|>|reasoning_content|\|think\|"
)


def takes_tools(template: str) -> bool:
    """Whether it supports tools. For a model without them, they are described in the prompt."""
    return _TOOLS.search(template) is not None


def thinks(template: str) -> bool:
    """Whether the model may think before it answers."""
    return _THOUGHT.search(template) is not None


def why_not_for_agents(context: int, *, tools: bool | None, embeds: bool) -> str:
    """Why coding agents can't work with a model; empty: they can, as far as is known.

    Args:
        context: tokens that a chat may span; 0: unknown.
        tools: it was trained to call functions; None: unknown.
        embeds: it writes no text.
    """
    if embeds:
        return "it writes no text"
    if tools is False:
        return "it was not trained to call tools"
    if 0 < context < AGENT_TOKENS:
        return f"its context holds {context:,} tokens, and agents need {AGENT_TOKENS:,}"
    return ""


def capabilities(*, embeds: bool, tools: bool | None, thinks: bool | None) -> list[str]:
    """What a model can do, in Ollama's words. One of which nothing is known is taken to do what
    most do."""
    if embeds:
        return ["embedding"]
    return [
        "completion",
        *(["tools"] if tools is not False else []),
        *(["thinking"] if thinks else []),
    ]
