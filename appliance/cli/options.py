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


def configuration(named: Path | None, **flags: dict[str, object]) -> Config:
    """The configuration from the file that was named, or from the usual one if there is one.

    Args:
        named: the file; None: none was named.
        flags: by section, what the command line said; None where it said nothing.

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
    from appliance.paths import default_config_file

    usual = default_config_file()
    return named or (usual if usual.is_file() else None)


def print_json(found: Any) -> None:
    """For programs: one document, indented, for people who look all the same."""
    click.echo(json.dumps(found, indent=2))
