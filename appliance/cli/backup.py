"""`appliance backup`, `restore` and `salvage`: copies of all chats, and recovery from damage."""

import time
from pathlib import Path

import click
import msgspec

from appliance.cli import options
from appliance.system.units import format_bytes


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@options.config_file
@options.as_json
def backup(file: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Copy all chats to FILE, also while the service runs, and read the copy back.

    Without FILE: into the folder `backups` beside the chats.
    """
    config = options.configuration(config_file)
    from appliance.config import paths
    from appliance.store.copies.backup import back_up

    folder = paths.data_dir(config)
    usual = folder / "backups" / f"appliance-{time.strftime('%Y%m%d-%H%M%S')}.db"
    made = back_up(paths.database_file(config), (file or usual).absolute())
    if as_json:
        options.print_json({"path": made.path, "bytes": made.bytes, "tables": made.tables})
    else:
        rows = ", ".join(f"{number} {name}" for name, number in made.tables.items() if number)
        options.say(f"{made.path}: {format_bytes(made.bytes, 'MB')}, read back whole ({rows})")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@options.config_file
@options.as_json
def restore(file: Path, config_file: Path | None, as_json: bool) -> None:
    """Replace all chats by those of a copy; the present ones are kept beside it for 30 days.

    The service must not be running.
    """
    config = options.configuration(config_file)
    from appliance.client import discovery
    from appliance.config import paths
    from appliance.store.copies import restore as store

    lock = discovery.DataFolderLock(paths.data_dir(config))
    try:
        kept = store.restore(file.absolute(), paths.database_file(config))
    finally:
        lock.release()
    if as_json:
        previous = {"kept": str(kept.path), "kept_whole": kept.whole} if kept else {"kept": None}
        options.print_json({"restored": str(file), **previous})
        return
    options.say(f"The chats are those of {file} again.")
    if kept and kept.whole:
        options.say(f"Those of before are in {kept.path}.")
    elif kept:
        options.say(f"Those of before were damaged; as they were, they are in {kept.path}.")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--into",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The new file; otherwise beside FILE.",
)
@options.config_file
@options.as_json
def salvage(
    file: Path | None, target: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """Read what a damaged database still has into a new file, and say what is missing.

    FILE is not changed; without FILE: the chats of this installation, whose service must not be
    running. `appliance restore` puts the new file in their place.
    """
    config = options.configuration(config_file)
    from appliance.client import discovery
    from appliance.config import paths
    from appliance.store.copies import salvage as store

    ours = paths.database_file(config)
    damaged = (file or ours).absolute()
    usual = damaged.with_name(f"{damaged.stem}-salvaged-{time.strftime('%Y%m%d-%H%M%S')}.db")
    lock = discovery.DataFolderLock(paths.data_dir(config)) if damaged == ours else None
    try:
        found = store.salvage(damaged, (target or usual).absolute())
    finally:
        if lock:
            lock.release()
    if as_json:
        options.print_json(msgspec.to_builtins(found))
        return
    options.say(f"{found.path}: {found.chats} chats, {found.messages} messages")
    for number, what in (
        (found.missing, "chats or messages at least are missing"),
        (found.damaged_messages, "messages are damaged, and marked"),
        (found.chats_without_title, "chats have lost their title and settings"),
        (found.damaged_pages, "pages of the file could not be read, or not wholly"),
    ):
        if number:
            options.say(f"  {number} {what}")
    options.say(f"To go on with these chats: appliance restore {found.path}")
