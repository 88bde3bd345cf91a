"""The table in `docs/templates.md`: what is supported with each of llama.cpp's chat templates.

As a program, `python -m tests.worker.parsers.families` writes it.
"""

from pathlib import Path

from appliance.errors import RequestError
from appliance.worker.parsers.detect import OutputFormat
from appliance.worker.parsers.known import GENERIC_SYNTAX, known_syntax
from tests.worker.llama_sources import sources
from tests.worker.parsers.test_templates import common_start, rendered, style

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "templates.md"
HEAD = (
    "| template | tools | parallel calls | thoughts | schema | system prompt | prefix |\n"
    "| --- | --- | --- | --- | --- | --- | --- |\n"
)
_USER = {"role": "user", "content": "Which is it, then?"}
_SYSTEM = {"role": "system", "content": "Answer in verse."}
_REPLY = {"role": "assistant", "content": "It is the other one."}


def table() -> str:
    """A row for each template, in alphabetical order."""
    names = sorted(sources("models/templates", ".jinja"), key=str.casefold)
    return HEAD + "".join(_row(name) for name in names)


def _row(name: str) -> str:
    found = style(name)
    prompt = rendered(name, [_USER], None, {})
    thought = found.tags and prompt.rstrip().endswith(found.tags.opening)
    cells = [
        f"`{name.removesuffix('.jinja')}`",
        _tools(name),
        "yes" if found.harmony or (found.calls and found.calls.parallel) else "one at a time",
        _thoughts(found),
        "after the thought" if thought else "yes",
        _system(name),
        _prefix(name, prompt),
    ]
    return f"| {' | '.join(cells)} |\n"


def _thoughts(found: OutputFormat) -> str:
    if found.harmony:
        return "in channels"
    return f"`{found.tags.opening}`".replace("|", r"\|") if found.tags else "none"


def _tools(name: str) -> str:
    found = style(name)
    if found.harmony or found.calls == known_syntax(sources("models/templates", ".jinja")[name]):
        return "known" if found.harmony or found.calls else "generic"
    return "derived" if found.calls not in (None, GENERIC_SYNTAX) else "generic"


def _system(name: str) -> str:
    try:
        text = rendered(name, [_SYSTEM, _USER], None, {}, as_is=True)
    except RequestError:
        return "in the question"
    return "yes" if _SYSTEM["content"] in text else "in the question"


def _prefix(name: str, prompt: str) -> str:
    """How much of a prompt the next turn's prompt begins with."""
    further = rendered(name, [_USER, _REPLY, _USER], None, {})
    same = common_start(prompt, further)
    return "all" if same == len(prompt) else f"all but {len(prompt) - same} characters"


if __name__ == "__main__":
    before, _, _ = DOCUMENT.read_text("utf-8").partition(HEAD)
    DOCUMENT.write_text(before + table(), "utf-8")
