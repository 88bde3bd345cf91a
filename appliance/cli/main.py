"""The group of all commands, and how a command ends."""

import sys
from typing import NoReturn

import click

from appliance import __version__
from appliance.cli import doctor, keys, models, pull, run, service, speed
from appliance.errors import ApplianceError, ConfigError

EXIT_CONFIG = 78
"""`EX_CONFIG` of sysexits: what is wrong is the configuration, and starting again won't help."""


@click.group(invoke_without_command=True)
@click.version_option(__version__, prog_name="appliance")
@click.pass_context
def appliance(context: click.Context) -> None:
    """Local language models behind one window and one API.

    Without a command: start, and open the page in the browser.
    """
    if context.invoked_subcommand is None:
        context.invoke(service.serve, open_browser=True)


for command in (
    *(service.serve, doctor.doctor, keys.keys, *models.COMMANDS, pull.pull, run.run),
    *(speed.bench, speed.tune),
):
    appliance.add_command(command)


def main() -> NoReturn:
    """Runs a command; ends the process with its exit code, 78 for a wrong configuration."""
    try:
        appliance()
    except ApplianceError as error:
        click.echo(f"appliance: {error}", err=True)
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else 1)
    sys.exit(0)
