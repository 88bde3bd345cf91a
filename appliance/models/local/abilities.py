"""What a model can do, going by the text of its chat template. Pure Python.

The worker finds out by having the template render examples, which is not for the process that lists
models; a test compares the two for each template of llama.cpp's.
"""

import re

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
