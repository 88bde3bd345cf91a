"""`appliance pull`: a model from the hub, downloaded by the service if one runs."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from appliance.cli import options
from appliance.client.http import connect, encoded
from appliance.config import terminal
from appliance.config.schema import Config
from appliance.errors import DownloadFailed
from appliance.system.units import format_bytes

LOOK_SECONDS = 0.25
Look = Callable[[], dict[str, Any]]


@click.command()
@click.argument("model")
@click.option(
    "--quantization",
    default="",
    metavar="NAME",
    help="q4, q8, bf16, or as GGUF files name it, such as Q5_K_M.",
)
@options.config_file
@options.as_json
def pull(model: str, quantization: str, config_file: Path | None, as_json: bool) -> None:
    """Download a model: NAME, NAME:QUANTIZATION, OWNER/NAME/FILE.gguf, or its address.

    It can be interrupted: the same command resumes it.
    """
    config = options.configuration(config_file)
    options.heed_interrupt()
    with ExitStack() as stack:
        look, goes_on = _begin(config, model, quantization, stack)
        try:
            ended = _watch(look, quiet=as_json)
        except KeyboardInterrupt:
            options.say(f"\n{goes_on}", err=True)
            sys.exit(130)
    if as_json:
        options.print_json(ended)
    if ended["status"] != "done":
        raise DownloadFailed(ended["error"] or f"the download of {model} is {ended['status']}")
    if not as_json:
        ended = terminal.all_lines(ended)
        options.say(f"{ended['repo']} is here: {ended['file']}")


def _begin(config: Config, model: str, wanted: str, stack: ExitStack) -> tuple[Look, str]:
    """How to watch the download, and whether it continues when the command ends."""
    client = connect(config)
    if client:
        body = {"model": model, "quantization": wanted}
        id = client.call("POST", "/api/downloads", body)["id"]
        return lambda: client.call("GET", f"/api/downloads/{id}"), "The service goes on with it."
    from appliance.models.catalog import names
    from appliance.service.model_library import library

    downloads = library(config).downloads
    downloads.start()
    stack.callback(downloads.close)
    name, in_name = names.parse(model)
    id = downloads.add(name, wanted or in_name).id
    return lambda: encoded(downloads.find(id)), "The same command goes on with it."


def _watch(look: Look, *, quiet: bool) -> dict[str, Any]:
    live = sys.stderr.isatty() and not quiet
    while True:
        download = look()
        if live:
            options.rewrite(f"{_line(download):78}")
        if download["status"] not in ("waiting", "running"):
            if live:
                options.say(err=True)
            return download
        time.sleep(LOOK_SECONDS)


def _line(download: dict[str, Any]) -> str:
    done, total, speed = (
        download["done_bytes"],
        download["total_bytes"],
        download["bytes_per_second"],
    )
    left = f", {(total - done) / speed:.0f} s left" if speed else ""
    share = done / total if total else 1.0
    return f"{share:4.0%}  {_size(done)} of {_size(total)}, {_size(speed)}/s{left}"


def _size(size: int) -> str:
    return format_bytes(size) if size else "0"
