"""What commands share: options, the configuration, and JSON."""

import json
from pathlib import Path
from typing import Any

import click

from appliance.config import Config, load

config_file = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Configuration file (TOML).",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def configuration(named: Path | None, server_flags: dict[str, object] | None = None) -> Config:
    """The configuration from the file that was named, or from the usual one if there is one.

    Raises:
        ConfigError: it cannot be used.
    """
    from appliance.paths import default_config_file

    usual = default_config_file()
    given = {key: value for key, value in (server_flags or {}).items() if value is not None}
    return load(named or (usual if usual.is_file() else None), flags={"server": given})


def print_json(found: Any) -> None:
    """For programs: one document, indented, for people who look all the same."""
    click.echo(json.dumps(found, indent=2))
