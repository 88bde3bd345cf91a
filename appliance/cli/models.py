"""`appliance list`, `show`, `rm`, `ps`, `stop`: the models on this machine.

They ask the service where one runs, and look at the files themselves otherwise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from appliance.cli import options
from appliance.client.http import connect, encoded
from appliance.config import terminal
from appliance.config.schema import Config
from appliance.errors import ModelNotFound
from appliance.system.units import format_bytes

HEADS = ("ID", "QUANTIZATION", "SIZE", "MEMORY", "FITS", "OWNER", "STATUS")
FITS = {"fits": "yes", "partly": "partly", "too_big": "too big", None: ""}


@click.command("list")
@options.config_file
@options.as_json
def list_models(config_file: Path | None, as_json: bool) -> None:
    """List the models on this machine, wherever they are."""
    models = everything(options.configuration(config_file))
    if as_json:
        options.print_json(models)
    else:
        rows = [
            (
                *(m["id"], m["quantization"], _size(m["size"]), _size(m["memory_bytes"])),
                *(FITS[m["fits"]], m["owner"], _state(m)),
            )
            for m in terminal.all_lines(models)
        ]
        options.say(table(HEADS, rows))


@click.command()
@click.argument("model")
@options.config_file
@options.as_json
def show(model: str, config_file: Path | None, as_json: bool) -> None:
    """Show all that is known of a model."""
    found = find(options.configuration(config_file), model)
    if as_json:
        options.print_json(found)
        return
    found = terminal.all_lines(found)
    shown = {
        **found,
        "size": _size(found["size"]),
        "memory": f"{_size(found['memory_bytes'])}: {parts(found['memory'])}".strip(": "),
        "memory_bytes": None,
        "fits": FITS[found["fits"]],
        "status": _state(found),
    }
    width = max(map(len, shown))
    for name, value in shown.items():
        if value not in (None, "", 0, False):
            options.say(
                f"{name.replace('_', ' '):{width}}  {value if value is not True else 'yes'}"
            )


@click.command()
@click.argument("model")
@options.config_file
@options.as_json
def rm(model: str, config_file: Path | None, as_json: bool) -> None:
    """Remove a model's files, if they are the appliance's own."""
    config = options.configuration(config_file)
    found = find(config, model)
    client = connect(config)
    if client:
        client.call("DELETE", f"/api/models/{quote(found['id'], errors='surrogatepass')}")
    else:
        from appliance.models.local.index import remove
        from appliance.service.model_library import library

        index = library(config).index
        index.refresh()
        entry = index.find(found["id"])
        if entry is None:
            raise ModelNotFound(f"{found['id']} has no file here")
        remove(entry, before=lambda: None)
    if as_json:
        options.print_json({"removed": found["id"]})
    else:
        found = terminal.all_lines(found)
        options.say(f"{found['id']} is removed: {found['path']}")


@click.command()
@options.config_file
@options.as_json
def ps(config_file: Path | None, as_json: bool) -> None:
    """List the models that are loaded."""
    client = connect(options.configuration(config_file))
    models = client.call("GET", "/api/models")["models"] if client else []
    loaded = [model for model in models if model["status"] in ("loading", "ready", "failing")]
    if as_json:
        options.print_json(loaded)
    elif not client:
        options.say("The appliance is not running.")
    else:
        rows = [
            (m["id"], m["device"] or "", str(m["n_ctx"] or ""), _size(m["memory_bytes"]), _state(m))
            for m in terminal.all_lines(loaded)
        ]
        options.say(table(("ID", "DEVICE", "CONTEXT", "MEMORY", "STATUS"), rows))


@click.command()
@click.argument("model")
@options.config_file
@options.as_json
def stop(model: str, config_file: Path | None, as_json: bool) -> None:
    """Unload a model; requests that it is answering fail."""
    config = options.configuration(config_file)
    client = connect(config)
    if client:
        found = client.call("POST", f"/api/models/{quote(model, errors='surrogatepass')}/unload")
    else:
        found = find(config, model)
    if as_json:
        options.print_json(found)
    else:
        options.say(f"{terminal.line(found['id'])} is not loaded.")


COMMANDS = (list_models, show, rm, ps, stop)


def everything(config: Config) -> list[dict[str, Any]]:
    """All models, as `GET /api/models` lists them."""
    client = connect(config)
    if client:
        listed: list[dict[str, Any]] = client.call("GET", "/api/models")["models"]
        return listed
    from appliance.service.model_library import library, unserved

    return [encoded(model) for model in unserved(library(config), config)]


def find(config: Config, name: str) -> dict[str, Any]:
    """One model, by its id, its name, or where on the hub it came from.

    Raises:
        ModelNotFound: there is none.
    """
    from appliance.models.catalog import catalog

    models = everything(config)
    for model in models:
        if name in (model["id"], model["name"]):
            return model
    for model in models:
        if model["repo"] and name in catalog.aliases(model["repo"]):
            return model
    raise ModelNotFound(f"there is no model {name!r} here; `appliance list` shows what there is")


def parts(memory: dict[str, Any] | None) -> str:
    """The parts of a model's memory, for people."""
    if not memory:
        return ""
    slots = memory["slots"]
    chats = f"{slots} chats at a time" if slots > 1 else "chats"
    shown = {
        "weights": memory["weights"],
        chats: memory["cache"],
        "computing": memory["compute"],
        "chats set aside": memory["saved"],
        "programs": memory["process"],
        "on the GPU": memory["gpu"],
    }
    return ", ".join(f"{name} {format_bytes(count)}" for name, count in shown.items() if count)


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as what is in them."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    ]
    return "\n".join(lines)


def _size(count: int) -> str:
    """Empty where it is not known."""
    return format_bytes(count) if count else ""


def _state(model: dict[str, Any]) -> str:
    if not model["downloaded"]:
        return f"not downloaded: {model['detail']}"
    if model["status"] == "failed":
        return f"failed: {model['detail']}"
    if model["status"] == "loading":
        return f"loading, {model['progress']:.0%}"
    return str(model["status"])
