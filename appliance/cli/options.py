"""Shared by commands: options, the configuration, and JSON."""

import json
import signal
from pathlib import Path
from typing import Any

import click

from appliance.config import terminal
from appliance.config.loader import load
from appliance.config.schema import Config


def _one_file(
    context: click.Context, _option: click.Parameter, files: tuple[Path, ...]
) -> Path | None:
    """The file that was named, anywhere on the command line, once or several times alike.

    Click gives what stands before a command to the group alone; `meta` is one for all of them.
    """
    for file in files:
        before: Path = context.meta.setdefault("config_file", file)
        if file != before:
            raise click.UsageError(f"--config names two files, {before} and {file}", context)
    return context.meta.get("config_file")


config_file = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,  # click would take the last one and say nothing
    callback=_one_file,
    help="Configuration file (TOML); before the command or behind it.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def configuration(named: Path | None, **flags: dict[str, object]) -> Config:
    """The configuration from the file that was named, or from the usual one if there is one.

    Args:
        named: the file; None: none was named.
        flags: options of the command line, by section; None: not given.

    Raises:
        ConfigError: it cannot be used.
    """
    given = {
        section: {key: value for key, value in table.items() if value is not None}
        for section, table in flags.items()
    }
    return load(file_of(named), flags=given)


def file_of(named: Path | None) -> Path | None:
    """The configuration file that was named, or the usual one; None if there is none."""
    from appliance.config.paths import default_config_file

    usual = default_config_file()
    return named or (usual if usual.is_file() else None)


def heed_interrupt() -> None:
    """Ctrl-C means something here, also if the parent process had it ignored, as shells do in
    the background of a script."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def say(text: str = "", *, err: bool = False, end: bool = True, dim: bool = False) -> None:
    """Print for people; nothing in `text` steers their terminal.

    Args:
        text: may have several lines. What is put together from parts of others is safe only if
            `terminal.line` saw those: they could hold an end of a line.
        err: on stderr.
        end: with an end of the line.
        dim: less bright, where colours are.
    """
    click.secho(terminal.lines(text), err=err, nl=end, dim=dim or None)


def rewrite(text: str) -> None:
    """Print a line on stderr in the place of the one before."""
    click.echo(f"\r{terminal.line(text)}", err=True, nl=False)


def print_json(found: Any) -> None:
    """For programs: one document, indented, for people who look all the same."""
    click.echo(json.dumps(found, indent=2))
