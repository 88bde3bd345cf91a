"""Rows 7 and 8: start time, memory and idle CPU, and decode speed on a machine under other load."""

import time
from contextlib import suppress
from functools import partial
from statistics import median

import psutil

from benchmarks import prompts
from benchmarks.client import stream
from benchmarks.figures import Goal, Measure, Row, Verdict, at_least, at_most, pairs, ratios
from benchmarks.servers import Appliance, Bare, Busy
from benchmarks.stand import Stand, take_turns

_SLOTS = 4
_MB = 1e6
_AUTO = "appliance, its own choice"


def cost(stand: Stand) -> Row:
    """Start time, memory, and CPU use while idle."""
    settings = stand.settings
    seconds = 3.0 if settings.quick else 20.0
    row = Row(7, "Start to ready, memory, idle CPU", f"idle for {seconds:.0f} s after some replies")
    start = partial(stand.start_ours, "cost", slots=_SLOTS, threads=settings.threads)
    first = start()
    model = first.model_file() or stand.shipped
    first.stop()

    def load(_: int) -> float:
        bare = Bare(stand.options(model), stand.log("bare-load"))
        bare.stop()
        return bare.load_seconds

    def ready(_: int) -> float:
        ours = start()
        ours.stop()
        return ours.start_seconds

    found = take_turns({"ready": ready, "model load": load}, settings.repeat, row.notes)
    beyond = pairs(found["ready"], found["model load"], lambda a, b: a - b)
    row.measures.append(Measure("start", "s", found))
    row.verdicts.append(Verdict("start to ready − model load, s", beyond, at_most(0.8)))
    ours = start()
    try:
        _rest(ours, row, seconds, settings.repeat)
    finally:
        ours.stop()
    return row


def _rest(ours: Appliance, row: Row, seconds: float, repeat: int) -> None:
    resident, proportional, idle = [], [], []
    for turn in range(repeat):
        stream(ours.url, prompts.question(64, f"rest {turn}", 16))
        time.sleep(2)  # until work after a reply, such as storing it, is done
        idle.append(_cpu_percent(ours.process, seconds))
        memory = ours.process.memory_full_info()
        resident.append(memory.rss / _MB)
        proportional.append(memory.pss / _MB)
    values = {"RSS": resident, "PSS": proportional}
    row.measures.append(Measure("memory of the appliance's process, without workers", "MB", values))
    row.measures.append(Measure("idle, workers included", "% of a core", {"CPU": idle}))
    row.verdicts.append(Verdict("RSS, MB", resident, at_most(90)))
    row.verdicts.append(Verdict("idle CPU, %", idle, at_most(0.5)))


def _cpu_percent(process: psutil.Process, seconds: float) -> float:
    """CPU time in % of one core, including all child processes."""
    spent: dict[int, float] = {}

    def used() -> float:
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # its last known CPU time counts
                times = one.cpu_times()
                spent[one.pid] = times.user + times.system
        return sum(spent.values())

    before, began = used(), time.perf_counter()
    time.sleep(seconds)
    return 100 * (used() - before) / (time.perf_counter() - began)


def governor(stand: Stand) -> Row:
    """Decode speed with one core busy with something else, and with none."""
    settings = stand.settings
    choices = {_AUTO: 0} | {f"n_threads = {n}": n for n in range(1, settings.threads + 1)}
    row = Row(8, "One core busy elsewhere: decode", f"one stream, {settings.max_tokens} tokens")
    _decode(stand, row, choices, "idle", at_least(0.97))
    busy = Busy(stand.log("busy"))
    try:
        _decode(stand, row, choices, "one core busy", at_least(0.95))
    finally:
        busy.stop()
    return row


def _decode(stand: Stand, row: Row, choices: dict[str, int], state: str, goal: Goal) -> None:
    def run(threads: int, turn: int) -> float:
        ours = stand.start_ours(f"threads-{threads}", slots=_SLOTS, threads=threads)
        try:
            # The governor adapts during the first reply.
            rates = [
                stream(ours.url, prompts.question(24, f"{state} {turn} {n}", tokens)).decode_rate
                for n, tokens in enumerate((256, stand.settings.max_tokens))
            ]
        finally:
            ours.stop()
        return rates[-1]

    entrants = {name: partial(run, threads) for name, threads in choices.items()}
    found = take_turns(entrants, stand.settings.repeat, row.notes)
    row.measures.append(Measure(f"decode, {state}", "tokens/s", found))
    fixed = {name: values for name, values in found.items() if name != _AUTO and values}
    if not fixed:
        row.verdicts.append(Verdict(f"{state}: own choice ÷ best fixed setting", [], goal))
        return
    best = max(fixed, key=lambda name: median(fixed[name]))
    values = ratios(found[_AUTO], fixed[best])
    row.verdicts.append(Verdict(f"{state}: own choice ÷ {best}", values, goal))
