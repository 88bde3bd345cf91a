"""`appliance import` and `appliance migrate`: from other programs to this one."""

import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from appliance.cli import options
from appliance.config import terminal

if TYPE_CHECKING:
    from appliance.service.migration import MigrationPlan


@click.command("import")
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(path_type=Path, exists=True)
)
@options.config_file
@options.as_json
def import_command(paths: tuple[Path, ...], config_file: Path | None, as_json: bool) -> None:
    """Import chats from files, zip archives or folders.

    Of the appliance, ChatGPT, Claude, Open WebUI, LM Studio, Jan, LibreChat, and the original
    service (its sessions.db and sessions.json too). The same chats can be imported again: those
    that are here already are left as they are.
    """
    config = options.configuration(config_file)
    from appliance.chat.importers.files import read_path
    from appliance.chat.importers.importer import import_chats
    from appliance.service.chat_import import adder

    with adder(config) as add:
        report = import_chats(chain.from_iterable(map(read_path, paths)), add)
    if as_json:
        options.print_json(msgspec.to_builtins(report))
    else:
        known = f", {report.already_here} were here already" if report.already_here else ""
        options.say(f"{len(report.imported)} chats imported{known}")
        if report.skipped:
            options.say(f"{len(report.skipped)} files have no chats")
        for problem in report.failed:
            line = f"{terminal.line(problem.file)}: {terminal.line(problem.reason)}"
            options.say(line, err=True)
    if report.failed:
        sys.exit(1)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--apply", is_flag=True, help="Do it; otherwise only what would be done is printed.")
@options.config_file
@options.as_json
def migrate(folder: Path, apply: bool, config_file: Path | None, as_json: bool) -> None:
    """Move from the original service, whose FOLDER has its config.toml and its chats.

    Says line by line what is kept, changed or ignored, and what has to be downloaded. No file of
    FOLDER is changed.
    """
    if config_file is None or config_file.exists():
        options.configuration(config_file)  # which the settings are going to be merged into
    from appliance.service import migration

    if not folder.is_dir():
        raise click.UsageError(f"{folder} is no folder")
    plan = migration.examine(folder.absolute())
    if as_json:
        options.print_json(msgspec.to_builtins(plan))
    else:
        for line in migration.describe(plan.lines):
            options.say(terminal.line(line))
        for missing in plan.downloads:
            options.say(f"download {terminal.line(missing.hint)}")
    if not apply:
        if not as_json:
            options.say("Nothing was changed. To do it: add --apply")
        return
    _apply(plan, config_file, quiet=as_json)


def _apply(plan: "MigrationPlan", config_file: Path | None, *, quiet: bool) -> None:
    from appliance.chat.importers.files import read_path
    from appliance.chat.importers.importer import import_chats
    from appliance.cli.config_file import merge
    from appliance.client.http import connect
    from appliance.config.paths import default_config_file
    from appliance.service.chat_import import adder

    say: Callable[[str], object] = (lambda _: None) if quiet else options.say
    target = config_file or default_config_file()
    if plan.settings:
        before = merge(target, plan.settings)
        say(f"{target} has the settings" + (f"; as it was before: {before}" if before else ""))
    config = options.configuration(target if target.is_file() else None)
    if plan.chats:
        with adder(config) as add:
            report = import_chats(
                chain.from_iterable(read_path(Path(file)) for file in plan.chats), add
            )
        say(f"{len(report.imported)} chats imported, {report.already_here} were here already")
        for problem in report.failed:
            options.say(terminal.line(f"{problem.file}: {problem.reason}"), err=True)
    client = connect(config) if plan.downloads else None
    if client is not None:
        for missing in plan.downloads:
            body = {"model": missing.model, "quantization": missing.quantization}
            client.call("POST", "/api/downloads", body)
            say(f"{missing.model} is being downloaded by the service")
        say("Start the service again, so that the settings hold.")
