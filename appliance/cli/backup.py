"""`appliance backup` and `appliance restore`: copies of all chats."""

import time
from pathlib import Path

import click

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
    from appliance.store.backup import back_up

    folder = paths.data_dir(config)
    usual = folder / "backups" / f"appliance-{time.strftime('%Y%m%d-%H%M%S')}.db"
    made = back_up(paths.database_file(config), (file or usual).absolute())
    if as_json:
        options.print_json({"path": made.path, "bytes": made.bytes, "tables": made.tables})
    else:
        rows = ", ".join(f"{number} {name}" for name, number in made.tables.items() if number)
        click.echo(f"{made.path}: {format_bytes(made.bytes, 'MB')}, read back whole ({rows})")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@options.config_file
@options.as_json
def restore(file: Path, config_file: Path | None, as_json: bool) -> None:
    """Replace all chats by those of a copy; the present ones are kept beside it.

    The service must not be running.
    """
    config = options.configuration(config_file)
    from appliance.client import discovery
    from appliance.config import paths
    from appliance.store import backup as store

    folder = paths.data_dir(config)
    lock = discovery.DataFolderLock(folder)
    try:
        kept = store.restore(file.absolute(), paths.database_file(config))
    finally:
        lock.release()
    if as_json:
        options.print_json({"restored": str(file), "kept": str(kept) if kept else None})
        return
    click.echo(f"The chats are those of {file} again.")
    if kept:
        click.echo(f"Those of before are in {kept}.")
