"""Row 12: how cost grows with the length of a chat."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks import client, prompts
from benchmarks.client import Reply, stream
from benchmarks.figures import Measure, Row, Verdict, at_least, at_most, ratios
from benchmarks.peers import ServerOptions
from benchmarks.servers import MODEL, Appliance, Peer
from benchmarks.stand import LLAMA_SERVER, OURS, Stand, take_turns
from tests.models.gemma import gemma_file

CELLS = 32768
SIZES = (1000, 8000, 30000)
_PATIENCE = 900.0
"""Seconds for a reply; prefill of the longest chat takes a minute or two."""


class Grown(NamedTuple):
    """Replies and memory of one chat."""

    cold: Reply
    next: Reply
    restarted: Reply
    memory: float
    """MB after its second turn."""


def growth(stand: Stand) -> Row:
    """Gemma 3 270M, with a sliding window of 512 tokens in most layers."""
    settings = stand.settings
    sizes = SIZES[:1] if settings.quick else SIZES
    row = Row(
        12,
        "A chat that grows: its next turn, and its next turn after a restart",
        f"Gemma 3 270M, one slot of {CELLS} tokens; a chat has",
    )
    starts: dict[str, Callable[[], Appliance | Peer]] = {OURS: partial(_ours, stand)}
    if LLAMA_SERVER in settings.peers:
        starts[LLAMA_SERVER] = partial(_llama_server, stand)
    for size in sizes:
        entrants = {name: partial(_grow, start, size, stand) for name, start in starts.items()}
        found = take_turns(
            entrants, settings.repeat, row.notes, patience=_PATIENCE * settings.repeat
        )
        _report(row, f"{size:,} tokens", found, longest=size == SIZES[-1])
        row.settings += f" {found[OURS][0].next.prompt_tokens:,}" if found[OURS] else ""
    row.settings += " tokens in its second turn"
    return row


def _report(row: Row, size: str, found: dict[str, list[Grown]], *, longest: bool) -> None:
    def measure(what: str, unit: str, read: Callable[[Grown], float]) -> dict[str, list[float]]:
        values = {name: [read(each) for each in runs] for name, runs in found.items()}
        row.measures.append(Measure(f"{size}: {what}", unit, values))
        return values

    measure("first token of the first turn", "s", lambda each: each.cold.first_seconds)
    turn = measure("first token of the next turn", "s", lambda each: each.next.first_seconds)
    decode = measure("decode", "tokens/s", lambda each: each.next.decode_rate)
    again = measure("first token after a restart", "s", lambda each: each.restarted.first_seconds)
    measure("memory", "MB", lambda each: each.memory)
    if LLAMA_SERVER in found:
        for what, values, goal in (
            ("next turn", turn, at_most(0.2) if longest else None),
            ("after a restart", again, at_most(0.2) if longest else None),
            ("decode", decode, at_least(1.0)),
        ):
            each = ratios(values[OURS], values[LLAMA_SERVER])
            row.verdicts.append(Verdict(f"{size}: {what}: appliance ÷ {LLAMA_SERVER}", each, goal))


def _grow(start: Callable[[], Appliance | Peer], size: int, stand: Stand, turn: int) -> Grown:
    server = start()
    try:
        # Of what others send without a chat the appliance keeps nothing beyond a restart.
        session = client.new_session(server.url) if isinstance(server, Appliance) else ""
        chat: list[dict[str, str]] = []

        def send(content: str, tokens: int) -> Reply:
            chat.append(prompts.message("user", content))
            body = prompts.chat(chat, tokens, MODEL)
            if session:
                return client.turn(server.url, session, body, _PATIENCE)
            reply = stream(server.url, body, _PATIENCE)
            chat.append(prompts.message("assistant", reply.text))
            return reply

        cold = send(prompts.words(size, f"grows {size} {turn}"), 16)
        following = send("And then?", stand.settings.max_tokens)
        memory = server.memory() / 1e6
    finally:
        server.stop()
    server = start()
    try:
        restarted = send("And in the end?", 2)
    finally:
        server.stop()
    return Grown(cold, following, restarted, memory)


def _ours(stand: Stand) -> Appliance:
    return Appliance(
        stand.scratch / "growth",
        model=gemma_file(),
        engine_n_ctx=CELLS,
        engine_n_seq_max=1,
        engine_n_threads=stand.settings.threads,
        engine_tune=False,
        limits_max_prompt_length=1_000_000,  # characters
    )


def _llama_server(stand: Stand) -> Peer:
    options = ServerOptions(str(gemma_file()), CELLS, 1, stand.settings.threads)
    return Peer(LLAMA_SERVER, options, stand.log("growth-llama-server"))
