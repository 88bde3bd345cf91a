"""`appliance serve`: the service itself."""

import gc
import sys
from pathlib import Path

import click

from appliance.cli import options
from appliance.config import paths
from appliance.config.environment import has_display, worker_environment
from appliance.config.schema import Config
from appliance.engine.local.prestart import PrestartedWorker
from appliance.system.memory import give_back_freed
from appliance.system.process_setup import allow_open_files


@click.command()
@options.config_file
@click.option("--host", metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", metavar="NUMBER", help="Port to listen on; 0 takes a free one.")
@click.option(
    "--open/--no-open", "open_browser", default=False, help="Open the page in the browser."
)
@click.option(
    "--insecure-lan",
    is_flag=True,
    default=None,
    help="Listen on any address without asking for keys.",
)
@options.as_json
@click.option("--until-eof", is_flag=True, hidden=True)  # of who holds the other end of stdin
def serve(
    config_file: Path | None,
    host: str | None,
    port: str | None,
    open_browser: bool,
    insecure_lan: bool | None,
    as_json: bool,
    until_eof: bool,
) -> None:
    """Run the service, without a window."""
    config = options.configuration(
        config_file,
        server={"host": host, "port": port},
        security={"insecure_lan": insecure_lan},
    )
    allow_open_files()
    give_back_freed()
    gc.disable()  # none of it becomes garbage, and looking for some takes a tenth of the time
    # Where a window is to be drawn first, none; else it starts, and loads, beside what is imported.
    prestarted = None if until_eof else _prestarted(config)
    from appliance.config import logging
    from appliance.service.appliance import run

    gc.freeze()
    gc.enable()
    logging.configure_logging(config.server.log_level)
    open_browser = open_browser and _can_open_browser()
    sys.exit(
        run(
            config,
            open_browser=open_browser,
            until_eof=until_eof,
            as_json=as_json,
            prestarted=prestarted,
        )
    )


def _prestarted(config: Config) -> PrestartedWorker | None:
    if not config.models.listed()[0].by_llama:
        return None
    try:
        worker = PrestartedWorker(paths.worker_command(), worker_environment())
    except OSError:  # a request that needs one reports it
        return None
    from appliance.service import model_specs

    load = model_specs.first_load(config)
    if load:
        worker.load(load)
    return worker


def _can_open_browser() -> bool:
    return sys.platform in {"darwin", "win32"} or has_display()
