"""Rows 5 and 6: reuse of the KV cache."""

from benchmarks import client, prompts
from benchmarks.client import Reply, stream
from benchmarks.figures import Measure, Row, Verdict, at_most, ratios
from benchmarks.servers import Appliance
from benchmarks.stand import OURS, Stand, take_turns

_SLOTS = 4


def chats_in_turn(stand: Stand) -> Row:
    """More chats than slots; each continues after all the others had their turn."""
    chats, turns, repeat = (6, 3, 1) if stand.settings.quick else (24, 5, stand.settings.repeat)
    row = Row(
        5,
        f"{chats} chats in turn over {_SLOTS} slots, {turns} turns each: prompt tokens computed",
        "each chat has its own system prompt; a message has about 40 tokens, a reply 24",
    )
    ours = stand.start_ours("chats", slots=_SLOTS, threads=stand.settings.threads)
    try:
        counts = take_turns(
            {OURS: lambda turn: _count(ours, range(chats * turn, chats * (turn + 1)), turns)},
            repeat,
            row.notes,
        )[OURS]
    finally:
        ours.stop()
    computed = [float(c) for c, _ in counts]
    new = [float(n) for _, n in counts]
    row.measures.append(Measure("of prompts", "tokens", {"computed": computed, "new": new}))
    row.verdicts.append(Verdict("computed ÷ new", ratios(computed, new), at_most(1.05)))
    return row


def _count(ours: Appliance, chats: range, turns: int) -> tuple[int, int]:
    """Prompt tokens that were computed, and those that were new in the chat."""
    histories = {
        number: [prompts.message("system", f"{number}. {prompts.words(12, f'chat {number}')}")]
        for number in chats
    }
    seen = dict.fromkeys(chats, 0)
    computed = new = 0
    for turn in range(turns):
        for number, history in histories.items():
            content = prompts.words(36, f"chat {number} {turn}")
            history.append(prompts.message("user", content))
            reply = stream(ours.url, prompts.chat(history, 24))
            history.append(prompts.message("assistant", reply.text))
            computed += reply.prompt_tokens - reply.cached_tokens
            new += reply.prompt_tokens - seen[number]
            seen[number] = reply.prompt_tokens + reply.tokens
    return computed, new


def after_restart(stand: Stand) -> Row:
    """A long chat continues after the appliance was restarted."""
    settings = stand.settings
    row = Row(6, "First token of a long chat after a restart", "then its next, short message")
    sizes: list[int] = []

    def run(turn: int) -> tuple[float, float]:
        cold, session = _cold(stand, turn)
        ours = stand.start_ours("restart", slots=_SLOTS, threads=settings.threads)
        try:
            message = prompts.message("user", "And then?")
            warm = client.turn(ours.url, session, prompts.chat([message], 2))
        finally:
            ours.stop()
        sizes.append(warm.prompt_tokens)
        row.settings = f"then its next, short message; {min(sizes)}–{max(sizes)} prompt tokens"
        return warm.first_seconds, cold.first_seconds

    found = take_turns({OURS: run}, settings.repeat, row.notes)[OURS]
    warm = [first for first, _ in found]
    cold = [second for _, second in found]
    values = {"after the restart": warm, "cold prefill": cold}
    row.measures.append(Measure("time to first token", "s", values))
    row.verdicts.append(Verdict("after the restart ÷ cold", ratios(warm, cold), at_most(0.05)))
    return row


def _cold(stand: Stand, turn: int) -> tuple[Reply, str]:
    """The first turn of a stored chat, whose id comes with it, in an appliance that is warmed up
    first and stopped afterwards."""
    ours = stand.start_ours("restart", slots=_SLOTS, threads=stand.settings.threads)
    try:
        stream(ours.url, prompts.warm_up())
        session = client.new_session(ours.url)
        message = prompts.message("user", prompts.words(stand.settings.long, f"restart {turn}"))
        return client.turn(ours.url, session, prompts.chat([message], 16)), session
    finally:
        ours.stop()
