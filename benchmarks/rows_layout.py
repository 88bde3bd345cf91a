"""Row 9: one KV cache shared by all slots, or one part per slot."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import mean

from benchmarks import prompts
from benchmarks.client import Reply, stream, streams
from benchmarks.figures import Measure, Row, Verdict, ratios
from benchmarks.servers import Appliance
from benchmarks.stand import Stand, take_turns

UNIFIED = "one for all"
PARTITIONED = "a part for each"
LAYOUTS = {UNIFIED: "on", PARTITIONED: "off"}


def shared_or_apart(stand: Stand) -> Row:
    """The comparison that decides the default of `engine.kv_unified`."""
    settings = stand.settings
    row = Row(
        9,
        "KV cache: one for all slots, or a part for each",
        f"{settings.slots} slots, {settings.cells} cells in all",
    )
    with ExitStack() as stack:
        running: dict[str, Appliance] = {}
        for name, kv_unified in LAYOUTS.items():
            ours = stand.start_ours(
                name.replace(" ", "-"),
                slots=settings.slots,
                threads=settings.threads,
                kv_unified=kv_unified,
            )
            stack.callback(ours.stop)
            running[name] = ours
        _measure(stand, row, running, "one short stream, decode, tokens/s", _short)
        _measure(stand, row, running, "8 long streams, decode together, tokens/s", _long)
        _measure(stand, row, running, "8 streams that share a long prompt, first token, s", _shared)
    return row


def _measure(
    stand: Stand,
    row: Row,
    running: dict[str, Appliance],
    what: str,
    run: Callable[[Stand, Appliance, int], float],
) -> None:
    entrants = {name: partial(run, stand, ours) for name, ours in running.items()}
    found = take_turns(entrants, stand.settings.repeat, row.notes)
    unit = what.rpartition(" ")[2]
    row.measures.append(Measure(what.rpartition(",")[0], unit, found))
    values = ratios(found[UNIFIED], found[PARTITIONED])
    row.verdicts.append(Verdict(f"{what}: {UNIFIED} ÷ {PARTITIONED}", values, None))


def _short(stand: Stand, ours: Appliance, turn: int) -> float:
    """Runs after the long prompts of the previous turn, which idle slots still hold."""
    return stream(
        ours.url, prompts.question(24, f"short {turn}", stand.settings.max_tokens)
    ).decode_rate


def _long(stand: Stand, ours: Appliance, turn: int) -> float:
    words = stand.settings.long
    seeds = [f"long {turn} {n}" for n in range(stand.settings.slots)]
    replies = streams(
        ours.url, [prompts.question(words, seed, stand.settings.max_tokens) for seed in seeds]
    )
    return _together(replies)


def _shared(stand: Stand, ours: Appliance, turn: int) -> float:
    system = prompts.message("system", prompts.words(stand.settings.long, f"shared {turn}"))
    users = (
        prompts.message("user", prompts.words(12, f"shared {turn} {n}"))
        for n in range(stand.settings.slots)
    )
    replies = streams(ours.url, [prompts.chat([system, user], 8) for user in users])
    return mean(reply.first_seconds for reply in replies)


def _together(replies: list[Reply]) -> float:
    """Tokens per second while all streams are generating."""
    began = max(reply.sent_at + reply.first_seconds for reply in replies)
    ended = min(reply.last_at for reply in replies)
    whole = sum(reply.tokens for reply in replies)
    share = [
        (min(ended, r.last_at) - began) / (r.last_at - r.sent_at - r.first_seconds)
        for r in replies
        if r.last_at > r.sent_at + r.first_seconds
    ]
    return whole * mean(share) / (ended - began) if ended > began else 0.0
