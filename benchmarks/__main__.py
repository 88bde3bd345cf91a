"""The command: `python -m benchmarks`. Runs the rows one after the other and prints as it goes."""

import platform
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import psutil

from appliance import __version__
from appliance.system.cpu import physical_cores, processor
from appliance.system.memory import memory
from benchmarks.client import BenchmarkError
from benchmarks.figures import Row
from benchmarks.report import as_json, table
from benchmarks.rows_agent import agent
from benchmarks.rows_cache import after_restart, chats_in_turn
from benchmarks.rows_constrained import constraints
from benchmarks.rows_growth import growth
from benchmarks.rows_layout import shared_or_apart
from benchmarks.rows_lists import long_chat, many_chats, typing
from benchmarks.rows_load import many_streams
from benchmarks.rows_page import page_at_work
from benchmarks.rows_process import cost, governor
from benchmarks.rows_speed import eight_streams, fresh_prompt, one_stream, shared_prompt
from benchmarks.rows_structured import long_keys
from benchmarks.servers import COMPILED, PEERS, describe
from benchmarks.stand import Settings, Stand

ROWS: dict[int, Callable[[Stand], Row]] = {
    1: one_stream,
    2: eight_streams,
    3: fresh_prompt,
    4: shared_prompt,
    5: chats_in_turn,
    6: after_restart,
    7: cost,
    8: governor,
    9: shared_or_apart,
    10: many_streams,
    11: page_at_work,
    12: growth,
    13: agent,
    14: long_keys,
    15: many_chats,
    16: long_chat,
    17: typing,
    18: constraints,
}
_QUIET_LOAD = 0.5
SHARE_SERVERS = 4
"""The rows up to this one use the same servers."""


def _numbers(_context: click.Context, _param: click.Parameter, value: str) -> list[int]:
    try:
        found = sorted({int(part) for part in value.split(",")})
    except ValueError as error:
        raise click.BadParameter("numbers with commas, such as 1,2") from error
    if unknown := [number for number in found if number not in ROWS]:
        raise click.BadParameter(f"there is no row {unknown[0]}")
    return found


def _names(_context: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    known = ("bare", *PEERS, COMPILED.name)
    found = tuple(part for part in value.split(",") if part)
    if unknown := [name for name in found if name not in known]:
        raise click.BadParameter(f"{unknown[0]} is none of {', '.join(known)}")
    return found


@click.command()
@click.option("--rows", default=",".join(map(str, ROWS)), callback=_numbers, help="Which rows.")
@click.option(
    "--peers",
    default=",".join(["bare", *PEERS, COMPILED.name]),
    callback=_names,
    help="Servers to compare with.",
)
@click.option("--repeat", default=5, type=click.IntRange(1), help="Runs of each; default 5.")
@click.option("--threads", default=0, help="Threads of every server; 0: one per physical core.")
@click.option("--quick", is_flag=True, help="Only check that it works: 2 short runs of each.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the results as JSON."
)
def main(
    rows: list[int],
    peers: tuple[str, ...],
    repeat: int,
    threads: int,
    quick: bool,
    json_file: Path | None,
) -> None:
    """Compare the appliance with other servers on the same model file."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settings = Settings(threads or physical_cores(), 2 if quick else repeat, peers, quick)
    done: list[Row] = []
    with Stand(settings) as stand:
        about = _about(stand)
        click.echo("".join(f"{key}: {value}\n" for key, value in about.items()))
        for number in rows:
            if number > SHARE_SERVERS:
                stand.release()
            done.append(_run(ROWS[number], number, stand))
            click.echo(table(done[-1]))
            if json_file is not None:
                json_file.write_text(as_json(about, done), encoding="utf-8")
    goals = [(row, each) for row in done for each in row.verdicts if each.goal is not None]
    missed = [(row, each) for row, each in goals if not each.met]
    click.echo(f"{len(goals) - len(missed)} of {len(goals)} goals met")
    for row, each in missed:
        click.echo(f"missed: row {row.number}, {each.name}: {each.goal}")


def _run(measure: Callable[[Stand], Row], number: int, stand: Stand) -> Row:
    began = time.monotonic()
    try:
        row = measure(stand)
    except (BenchmarkError, OSError, psutil.Error) as error:
        row = Row(number, measure.__name__.replace("_", " "), "", notes=[f"failed: {error}"])
    row.seconds = time.monotonic() - began
    return row


def _about(stand: Stand) -> dict[str, Any]:
    settings = stand.settings
    return {
        "appliance": __version__,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {processor().threads} processors, "
        f"{memory().total / 1e9:.0f} GB, {platform.system()} {platform.machine()}",
        "load_at_start": round(psutil.getloadavg()[0], 2),
        **describe(stand.options(stand.shipped)),
        "repeat": settings.repeat,
        "sampling": "temperature 0, ignore_eos, streamed, one client for all",
        **({"warning": "the machine is busy; wait until it is idle"} if _is_busy() else {}),
        **({"quick": "a check that it works; no meaningful figures"} if settings.quick else {}),
    }


def _processor() -> str:
    """The CPU's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or "an unnamed processor"


def _is_busy() -> bool:
    return psutil.getloadavg()[0] > _QUIET_LOAD


if __name__ == "__main__":
    main()
