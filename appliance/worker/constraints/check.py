"""Whether llguidance takes a grammar, and bounds of what it may take for one.

`refusal` is what the process for chat templates runs: native code that follows a grammar's rules
recursively can end a process, and that one may end.
"""

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

STACK_BYTES = 16 * 1024 * 1024
"""At most, for the process that runs `refusal`. The worker's thread has twice as much: what went
well in the one goes well in the other."""
_LONGEST_REASON = 300
_PLAIN = {
    "Unimplemented keys:": "not supported here:",
    "oneOf constraints are not supported. Enable 'coerce_one_of' option to approximate oneOf with "
    "anyOf": "oneOf is not supported where two of its schemas may fit",
    "Failed to generate regex for float range": "minimum or maximum is out of range",
}
_TOKENS = re.compile(r"<\[\^?[\d,]+\]>")


def limits() -> "LLParserLimits":
    """The limits of a grammar and each of its steps: a few milliseconds and a few megabytes."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        initial_lexer_fuel=1_000_000,
        step_lexer_fuel=100_000,
        step_max_items=10_000,
        max_lexer_states=20_000,
        max_grammar_size=100_000,
        verbose_errors=False,
    )


def matcher(tokenizer: "LLTokenizer", grammar: str) -> "LLMatcher":
    """At its beginning, with the first step computed.

    Raises:
        ValueError: it can't be used; the message says why.
    """
    from llguidance import LLMatcher

    try:
        found = LLMatcher(tokenizer, grammar, log_level=0, limits=limits())
        if not found.is_error() and not found.is_stopped():
            found.compute_bitmask()
    except BaseException as ex:
        if isinstance(ex, Exception):
            raise
        raise ValueError("llguidance gave it up") from ex  # a panic of Rust
    if found.is_error():
        raise ValueError(reason(found))
    return found


def reason(failed: "LLMatcher") -> str:
    """What is wrong, in a line."""
    lines = failed.get_error().replace("<non-verbose/>", "").split("<backtrace>")[0].splitlines()
    text = " ".join(line.strip() for line in lines if line.strip())
    for native, plain in _PLAIN.items():
        text = text.replace(native, plain)
    return text[:_LONGEST_REASON] or "nothing conforms to it"


def refusal(grammar: str) -> str | None:
    """Why it can't be used; None: it can."""
    from llguidance import LLTokenizer

    try:
        # Tokens are bytes here, and those of a vocabulary are others.
        matcher(LLTokenizer("byte"), _TOKENS.sub("<[1]>", grammar))
    except ValueError as ex:
        return str(ex)
    return None


def with_stack(size: int, thread: threading.Thread) -> threading.Thread:
    """Start it with this many bytes of stack."""
    before = threading.stack_size(size)
    try:
        thread.start()
    finally:
        threading.stack_size(before)
    return thread
