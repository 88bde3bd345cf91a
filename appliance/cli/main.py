"""The group of all commands, and how a command ends."""

import io
import sys
from pathlib import Path
from typing import NoReturn

import click
from click.core import ParameterSource

from appliance.cli import (
    backup,
    benchmark,
    doctor,
    health,
    keys,
    models,
    moving,
    options,
    pull,
    run,
    service,
    window,
)
from appliance.config import terminal
from appliance.errors import ApplianceError, ConfigError

EXIT_CONFIG = 78
"""`EX_CONFIG` of sysexits: what is wrong is the configuration, and starting again won't help."""
_COMMAND_LINE = ParameterSource.COMMANDLINE


def _print_version(context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given and not context.resilient_parsing:
        from appliance.service import build_info

        options.say(build_info.line())
        context.exit()


@click.group(invoke_without_command=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version, commit, llama.cpp and SQLite.",
)
@options.config_file
@click.option("--ready-seconds", default=8.0, hidden=True)  # that a window has to show the page
@click.pass_context
def appliance(context: click.Context, config_file: Path | None, ready_seconds: float) -> None:
    """Local language models behind one window and one API.

    Without a command: open the window, on the service that runs or on one of its own.
    """
    if context.invoked_subcommand is None:
        window.open_window(context, config_file, ready_seconds)
        return
    for option in context.command.params:
        name = option.name or ""
        if name != "config_file" and context.get_parameter_source(name) == _COMMAND_LINE:
            raise click.UsageError(f"{option.opts[0]} is for the window; commands do not take it")


for command in (
    *(service.serve, health.health, doctor.doctor, keys.keys, *models.COMMANDS, pull.pull, run.run),
    *(benchmark.bench, benchmark.tune, backup.backup, backup.restore),
    backup.salvage,
    moving.import_command,
    moving.migrate,
):
    appliance.add_command(command)


def main() -> NoReturn:
    """Runs a command; ends the process with its exit code, 78 for a wrong configuration."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        appliance()
    except ApplianceError as error:
        options.say(f"appliance: {terminal.line(str(error))}", err=True)
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else 1)
    sys.exit(0)
