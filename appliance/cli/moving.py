"""`appliance import` and `appliance migrate`: from other programs to this one."""

import sys
from itertools import chain
from pathlib import Path

import click
import msgspec

from appliance.cli import options
from appliance.config import terminal


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
