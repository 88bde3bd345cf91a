"""`appliance doctor`"""

from pathlib import Path

import click

from appliance.cli import options
from appliance.config import terminal


@click.command()
@options.config_file
@options.as_json
def doctor(config_file: Path | None, as_json: bool) -> None:
    """Show what this machine has and how the appliance uses it."""
    config = options.configuration(config_file)
    from appliance.diagnostics import doctor as diagnosis

    found = diagnosis.examine(config)
    if as_json:
        options.print_json(found)
    else:
        options.say(diagnosis.render(terminal.all_lines(found)))
