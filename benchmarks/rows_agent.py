"""Row 13: an agent's session, replayed."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks import prompts
from benchmarks.client import BenchmarkError
from benchmarks.figures import Measure, Row, Verdict, at_least, at_most, ratios
from benchmarks.peers import ServerOptions
from benchmarks.servers import MODEL, Appliance, Peer
from benchmarks.stand import LLAMA_SERVER, OURS, Stand, take_turns
from tests.models.architectures import granitehybrid
from tests.models.gemma import gemma_file
from tests.models.gguf_writer import spm_vocabulary, u32

CELLS = 32768
TOOLS = 20
_PATIENCE = 1800.0
"""Seconds for a session."""
_RESULTS = (50, 120, 80, 300, 60, 700, 150, 50, 2000, 90)
"""Tokens of what tools give back, in turn; 360 on average."""
_EDITED_AT, _EDITED, _CHANGED_AT = 0.5, 2, 0.75
"""When in a session the result of an early turn is edited, and which; and when the system prompt's
last line is changed."""


Words = Callable[[int, str], str]
"""As `prompts.words`."""


@dataclass(frozen=True)
class Script:
    """What is sent in a session, whatever the model replies."""

    system: list[str]
    """Lines."""
    tools: list[dict[str, Any]]
    task: str
    results: list[str]


@dataclass
class Session:
    """What came of it."""

    computed: int = 0
    new: int = 0
    calls: int = 0
    parsed: int = 0
    seconds: float = 0.0
    ends: list[int] = field(default_factory=list)
    """Tokens of each turn's prompt and reply."""


def agent(stand: Stand) -> Row:
    """Gemma 3 270M, and a tiny model with recurrent layers."""
    settings = stand.settings
    n_turns = 6 if settings.quick else 30
    row = Row(
        13,
        f"An agent's session of {n_turns} turns: prompt tokens computed; calls that were parsed",
        f"{TOOLS} tools; results of {min(_RESULTS)} to {max(_RESULTS)} tokens; one of them is "
        "edited, and later the system prompt's last line is changed; one slot",
    )
    hybrid = stand.scratch / "hybrid.gguf"
    shape = granitehybrid([2, 0, 0, 0, 2, 0]).with_pair(u32("granitehybrid.context_length", CELLS))
    for pair in spm_vocabulary(chats=True):
        shape = shape.with_pair(pair)
    hybrid.write_bytes(shape.encoded(seed=1))
    for name, file, n_lines, words in (  # prompts of some 9,000 tokens
        ("Gemma 3 270M", gemma_file(), 90, prompts.words),
        ("a tiny hybrid", hybrid, 10, _tiny_words),
    ):
        starts: dict[str, Callable[[], Appliance | Peer]] = {
            OURS: partial(_ours, stand, file),
        }
        if LLAMA_SERVER in settings.peers:
            starts[LLAMA_SERVER] = partial(_llama_server, stand, file)
        entrants = {
            server: partial(_replay, start, n_turns, n_lines, words)
            for server, start in starts.items()
        }
        repeat = min(settings.repeat, 3)  # counts hardly differ
        found = take_turns(entrants, repeat, row.notes, patience=_PATIENCE * repeat)
        _report(row, name, found)
    return row


def _report(row: Row, name: str, found: dict[str, list[Session]]) -> None:
    for server, runs in found.items():
        computed = [float(run.computed) for run in runs]
        new = [float(run.new) for run in runs]
        row.measures.append(
            Measure(f"{name}, {server}", "tokens", {"computed": computed, "new": new})
        )
        ours = server == OURS
        goal = at_most(1.05) if ours else None
        row.verdicts.append(
            Verdict(f"{name}, {server}: computed ÷ new", ratios(computed, new), goal)
        )
        parsed = [run.parsed / run.calls for run in runs if run.calls]
        goal = at_least(1.0) if ours else None
        row.verdicts.append(Verdict(f"{name}, {server}: calls parsed", parsed, goal))
    seconds = {server: [run.seconds for run in runs] for server, runs in found.items()}
    row.measures.append(Measure(f"{name}: the session", "s", seconds))


def _tiny_words(count: int, seed: str) -> str:
    """So many letters and blanks, each of which is a token of the tiny model."""
    draw = random.Random(f"{prompts.RUN} {seed}")
    letters = "".join(draw.choice("abcdefgh") for _ in range(count))
    return " ".join(letters[at : at + 4] for at in range(0, count, 5))


def script(n_turns: int, n_lines: int, words: Words, seed: str) -> Script:
    """Of `n_lines` lines of a system prompt, of some 60 tokens each."""
    system = [words(60, f"{seed} system {line}") for line in range(n_lines)]
    tools = [
        {
            "type": "function",
            "function": {
                "name": f"tool_{number}",
                "description": words(100, f"{seed} tool {number}"),
                "parameters": {
                    "type": "object",
                    "properties": {
                        "place": {"type": "string", "enum": ["here", "there", "anywhere"]},
                        "line": {"type": "integer", "minimum": 0, "maximum": 999},
                        "all": {"type": "boolean"},
                    },
                    "required": ["place", "line", "all"],
                    "additionalProperties": False,
                },
            },
        }
        for number in range(TOOLS)
    ]
    sizes = [_RESULTS[turn % len(_RESULTS)] for turn in range(n_turns)]
    results = [words(size, f"{seed} result {turn}") for turn, size in enumerate(sizes)]
    return Script(system, tools, words(80, f"{seed} task"), results)


def _replay(
    start: Callable[[], Appliance | Peer],
    n_turns: int,
    n_lines: int,
    words: Words,
    turn: int,
) -> Session:
    server = start()
    try:
        return replay(server.url, script(n_turns, n_lines, words, f"agent {turn}"))
    finally:
        server.stop()


def replay(url: str, recorded: Script) -> Session:
    """A session with the server at `url`.

    New is what a turn's prompt has after that of the turn before and its reply; of an edited
    message, what comes after the turn before it; of a changed system prompt, what comes after the
    lines that stayed.

    Raises:
        BenchmarkError: a request was refused.
    """
    n_turns = len(recorded.results)
    edited_at, changed_at = int(n_turns * _EDITED_AT), int(n_turns * _CHANGED_AT)
    session = Session()
    messages: list[dict[str, Any]] = [
        prompts.message("system", "\n".join(recorded.system)),
        prompts.message("user", recorded.task),
    ]
    results: list[dict[str, Any]] = []
    with httpx.Client(base_url=url, timeout=_PATIENCE) as client:
        for turn in range(n_turns):
            if turn == changed_at:
                last = f"{recorded.system[-1]} today"
                messages[0] = prompts.message("system", "\n".join([*recorded.system[:-1], last]))
            if turn == edited_at:
                content = str(results[_EDITED]["content"])
                results[_EDITED]["content"] = " ".join(reversed(content.split()))
            answer = _ask(client, messages, recorded.tools, 96)
            prompt, cached, written = _usage(answer)
            common = session.ends[-1] if session.ends else 0
            if turn == edited_at:
                common = session.ends[_EDITED]
            if turn == changed_at:
                common = 0  # see below
            session.computed += prompt - cached
            session.new += prompt - min(common, prompt)
            session.ends.append(prompt + written)
            session.seconds += answer["seconds"]
            session.calls += 1
            call, reply = _call(answer)
            session.parsed += call is not None
            messages.append(reply)
            id = call["id"] if call else "none"
            result = {"role": "tool", "tool_call_id": id, "content": recorded.results[turn]}
            results.append(result)
            messages.append(result)
        # Asked afterwards, since it would be cached.
        kept = prompts.message("system", "\n".join(recorded.system[:-1]))
        session.new -= _usage(_ask(client, [kept, prompts.message("user", "")], [], 1))[0]
    return session


def _ask(
    client: httpx.Client,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    max_tokens: int,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0.0,
    }
    if tools:
        body |= {"tools": tools, "tool_choice": "required", "parallel_tool_calls": False}
    answer = client.post("/v1/chat/completions", json=body)
    if answer.status_code != 200:
        raise BenchmarkError(f"refused: {answer.text[:300]}")
    return {**answer.json(), "seconds": answer.elapsed.total_seconds()}


def _usage(answer: dict[str, Any]) -> tuple[int, int, int]:
    """Tokens of the prompt, of these cached, and of the reply."""
    usage = answer["usage"]
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or answer.get("timings", {}).get("cache_n") or 0
    return usage["prompt_tokens"], cached, usage["completion_tokens"]


def _call(answer: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The call, if it is one of a tool with the arguments that it wants, and the message for the
    history."""
    message = answer["choices"][0]["message"]
    calls = message.get("tool_calls") or []
    try:
        arguments = json.loads(calls[0]["function"]["arguments"])
        right = set(arguments) == {"place", "line", "all"}
    except (IndexError, KeyError, TypeError, ValueError):
        right = False
    if not right:
        return None, prompts.message("assistant", message.get("content") or "")
    return calls[0], {"role": "assistant", "content": None, "tool_calls": calls[:1]}


def _ours(stand: Stand, file: Path) -> Appliance:
    return Appliance(
        stand.scratch / f"agent-{file.stem}",
        model=file,
        engine_n_ctx=CELLS,
        engine_n_seq_max=1,
        engine_n_threads=stand.settings.threads,
        engine_tune=False,
        limits_max_prompt_length=1_000_000,  # characters
    )


def _llama_server(stand: Stand, file: Path) -> Peer:
    options = ServerOptions(str(file), CELLS, 1, stand.settings.threads)
    return Peer(LLAMA_SERVER, options, stand.log(f"agent-{file.stem}-llama-server"))
