"""The commands that people and service managers type. Each imports what it needs, when it runs."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from appliance import __version__
from appliance.config import Config, has_display, load
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
        context.invoke(serve, open_browser=True)


@appliance.command()
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Configuration file (TOML).",
)
@click.option("--host", metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", metavar="NUMBER", help="Port to listen on; 0 takes a free one.")
@click.option(
    "--open/--no-open", "open_browser", default=False, help="Open the page in the browser."
)
def serve(config_file: Path | None, host: str | None, port: str | None, open_browser: bool) -> None:
    """Run the service, without a window unless asked."""
    config = _load(config_file, {"host": host, "port": port})
    from appliance import logs
    from appliance.bootstrap import run

    logs.set_up(config.server.log_level)
    sys.exit(run(config, open_browser=open_browser and _can_open_browser()))


@appliance.command()
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Configuration file (TOML).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(config_file: Path | None, as_json: bool) -> None:
    """Tell what this machine has and what the appliance makes of it."""
    config = _load(config_file, {})
    from appliance import doctor as physician

    found = physician.examine(config)
    click.echo(json.dumps(found, indent=2) if as_json else physician.render(found))


def _load(named: Path | None, server_flags: dict[str, object]) -> Config:
    """The configuration from the file that was named, or from the usual one if there is one."""
    from appliance.paths import default_config_file

    usual = default_config_file()
    given = {key: value for key, value in server_flags.items() if value is not None}
    return load(named or (usual if usual.is_file() else None), flags={"server": given})


def _can_open_browser() -> bool:
    return sys.platform in {"darwin", "win32"} or has_display()


def main() -> NoReturn:
    """Runs a command; ends the process with its exit code, 78 for a wrong configuration."""
    try:
        appliance()
    except ApplianceError as error:
        click.echo(f"appliance: {error}", err=True)
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError) else 1)
    sys.exit(0)
