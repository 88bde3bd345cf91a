"""Rows 1–4: speed over HTTP, compared with other servers."""

from collections.abc import Callable
from functools import partial
from statistics import mean
from typing import TypeVar

from benchmarks import prompts
from benchmarks.client import Reply, stream, streams
from benchmarks.figures import Goal, Measure, Row, Verdict, at_least, at_most, ratios
from benchmarks.servers import Bare
from benchmarks.stand import BARE, LLAMA_SERVER, ON_COMPILED, OURS, Stand, take_turns

T = TypeVar("T")
Values = dict[str, list[float]]


def one_stream(stand: Stand) -> Row:
    """How much of llama.cpp's own decode speed is left over HTTP."""
    settings = stand.settings
    row = Row(1, "One stream: decode", f"{settings.max_tokens} tokens after a prompt of about 50")

    def body(turn: int) -> prompts.Body:
        return prompts.question(24, f"alone {turn}", settings.max_tokens)

    def over_http(url: Callable[[], str], turn: int) -> float:
        return stream(url(), body(turn)).decode_rate

    def bare(loop: Callable[[], Bare], turn: int) -> float:
        return loop().alone(body(turn))["rate"]

    entrants: dict[str, Callable[[int], float]] = {
        **{name: partial(over_http, url) for name, url in stand.servers().items()},
        **{name: partial(bare, loop) for name, loop in stand.loops().items()},
    }
    found = take_turns(entrants, settings.repeat, row.notes, stand.drop, stand.release)
    row.measures.append(Measure("decode", "tokens/s", found))
    _compare(row, "decode", found, stand.same_file(BARE), at_least(0.97))
    _compare(row, "decode", found, LLAMA_SERVER, at_least(1.0))
    _compare_same(stand, row, "decode", found, at_least(1.0))
    _compare_compiled(stand, row, "decode", found)
    return row


def eight_streams(stand: Stand) -> Row:
    """Several users at once."""
    settings = stand.settings
    row = Row(
        2,
        f"{settings.slots} streams, different prompts",
        f"{settings.max_tokens} tokens each after prompts of 60 to 120, requested at once",
    )

    def bodies(turn: int) -> list[prompts.Body]:
        # Prompts of different lengths, as in real use.
        return [
            prompts.question(36 + 8 * n, f"eight {turn} {n}", settings.max_tokens)
            for n in range(settings.slots)
        ]

    def over_http(url: Callable[[], str], turn: int) -> tuple[float, float]:
        replies = streams(url(), bodies(turn))
        return _total_rate(replies), _mean_first(replies)

    def bare(loop: Callable[[], Bare], turn: int) -> tuple[float, float]:
        took = loop().together(bodies(turn))
        written = settings.slots * settings.max_tokens
        return written / (took["read_seconds"] + took["write_seconds"]), took["read_seconds"]

    entrants: dict[str, Callable[[int], tuple[float, float]]] = {
        **{name: partial(over_http, url) for name, url in stand.servers().items()},
        **{name: partial(bare, loop) for name, loop in stand.loops().items()},
    }
    found = take_turns(entrants, settings.repeat, row.notes, stand.drop, stand.release)
    rates = {name: [rate for rate, _ in values] for name, values in found.items()}
    firsts = {
        name: [first for _, first in values]
        for name, values in found.items()
        if not name.startswith(BARE)
    }
    reading = {
        name: [seconds for _, seconds in values]
        for name, values in found.items()
        if name.startswith(BARE)
    }
    row.measures.append(Measure("all together", "tokens/s", rates))
    row.measures.append(Measure("mean time to first token", "s", firsts))
    row.measures.append(Measure("all prompts read", "s", reading))
    limit = stand.same_file(BARE)
    _compare(row, "tokens/s", rates, limit, at_least(0.9))
    _compare(row, "tokens/s", rates, LLAMA_SERVER, at_least(1.1))
    _compare(row, "time to first token", firsts, LLAMA_SERVER, at_most(0.65))
    _compare_same(stand, row, "tokens/s", rates, at_least(1.0))
    _compare_same(stand, row, "time to first token", firsts, at_most(1.0))
    _compare_compiled(stand, row, "tokens/s", rates)
    _compare_compiled(stand, row, "time to first token", firsts)
    return row


def fresh_prompt(stand: Stand) -> Row:
    """A prompt that no cache can contain."""
    settings = stand.settings
    row = Row(3, "A fresh long prompt: time to first token", "one stream, another prompt every run")
    sizes: list[float] = []

    def run(url: str, turn: int) -> float:
        reply = stream(url, prompts.question(settings.long, f"fresh {turn}", 2))
        sizes.append(reply.prompt_tokens)
        return reply.first_seconds

    found = _over_http(stand, row, run)
    row.settings += _size(sizes)
    row.measures.append(Measure("time to first token", "s", found))
    _compare(row, "time to first token", found, LLAMA_SERVER, at_most(0.95))
    _compare_same(stand, row, "time to first token", found, None)
    _compare_compiled(stand, row, "time to first token", found)
    return row


def shared_prompt(stand: Stand) -> Row:
    """Several users who share a long system prompt."""
    settings = stand.settings
    row = Row(
        4,
        f"{settings.slots} streams that share a long system prompt",
        "requested at once, another system prompt every run",
    )
    sizes: list[float] = []

    def run(url: str, turn: int) -> float:
        system = prompts.message("system", prompts.words(settings.long, f"shared {turn}"))
        users = (
            prompts.message("user", prompts.words(12, f"shared {turn} {n}"))
            for n in range(settings.slots)
        )
        replies = streams(url, [prompts.chat([system, user], 8) for user in users])
        sizes.extend(reply.prompt_tokens for reply in replies)
        return _mean_first(replies)

    found = _over_http(stand, row, run)
    row.settings += _size(sizes)
    row.measures.append(Measure("mean time to first token", "s", found))
    _compare(row, "time to first token", found, LLAMA_SERVER, at_most(0.2))
    _compare_same(stand, row, "time to first token", found, None)
    return row


def _over_http(stand: Stand, row: Row, run: Callable[[str, int], T]) -> dict[str, list[T]]:
    def ask(url: Callable[[], str], turn: int) -> T:
        return run(url(), turn)

    entrants = {name: partial(ask, url) for name, url in stand.servers().items()}
    return take_turns(entrants, stand.settings.repeat, row.notes, stand.drop, stand.release)


def _total_rate(replies: list[Reply]) -> float:
    """Tokens per second from the first request to the last token."""
    seconds = max(r.last_at for r in replies) - min(r.sent_at for r in replies)
    return sum(reply.tokens for reply in replies) / seconds


def _mean_first(replies: list[Reply]) -> float:
    return mean(reply.first_seconds for reply in replies)


def _size(sizes: list[float]) -> str:
    known = [size for size in sizes if size]
    return f"; {min(known):.0f}–{max(known):.0f} prompt tokens" if known else ""


def _compare(row: Row, what: str, found: Values, other: str, goal: Goal | None) -> None:
    """Adds the verdict appliance ÷ `other`, if both took part."""
    if other in found:
        values = ratios(found.get(OURS, []), found[other])
        row.verdicts.append(Verdict(f"{what}: appliance ÷ {other}", values, goal))


def _compare_same(stand: Stand, row: Row, what: str, found: Values, goal: Goal | None) -> None:
    """The same with `llama-server` on the appliance's file, if that is another one."""
    other = stand.same_file(LLAMA_SERVER)
    if other != LLAMA_SERVER:
        _compare(row, what, found, other, goal)


def _compare_compiled(stand: Stand, row: Row, what: str, found: Values) -> None:
    """Compares prebuilt libraries with those compiled here, on the appliance's file; no goal."""
    for ready, on_compiled in ((OURS, OURS), (stand.same_file(BARE), BARE)):
        if ready in found and on_compiled + ON_COMPILED in found:
            values = ratios(found[ready], found[on_compiled + ON_COMPILED])
            row.verdicts.append(Verdict(f"{what}: {ready}, prebuilt ÷ compiled", values))
