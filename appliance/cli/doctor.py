"""`appliance doctor`"""

from pathlib import Path

import click

from appliance.cli import options


@click.command()
@options.config_file
@options.as_json
def doctor(config_file: Path | None, as_json: bool) -> None:
    """Tell what this machine has and what the appliance makes of it."""
    config = options.configuration(config_file)
    from appliance.diagnostics import doctor as physician

    found = physician.examine(config)
    if as_json:
        options.print_json(found)
    else:
        click.echo(physician.render(found))
