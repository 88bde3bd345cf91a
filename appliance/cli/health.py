"""`appliance health`: whether the service of this configuration accepts requests."""

from pathlib import Path

import click

from appliance.cli import options
from appliance.client.http import connect
from appliance.errors import Unavailable


@click.command()
@options.config_file
@options.as_json
def health(config_file: Path | None, as_json: bool) -> None:
    """Check whether the service takes requests, for containers; exits with 1 if not."""
    service = connect(options.configuration(config_file))
    if service is None:
        raise Unavailable("no service runs on this data folder")
    found = service.call("GET", "/readiness")
    if found["status"] != "ready":
        why = found["models"][0]["detail"] if found.get("models") else ""
        raise Unavailable(f"not ready: {found['status']}" + (f", {why}" if why else ""))
    if as_json:
        options.print_json(found)
    else:
        options.say(found["status"])
