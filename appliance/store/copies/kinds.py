"""The kind of a file that is given as a copy of the chats."""

from pathlib import Path

import apsw

from appliance.errors import StoreError, StoreTooNew
from appliance.store.copies.backup import reading
from appliance.store.migrations import MIGRATIONS

_TABLES = {"migrations", "sessions", "messages"}


def check_ours(path: Path) -> None:
    """Whether a file is a database of the appliance that this version can read.

    Raises:
        StoreTooNew: a newer version wrote it.
        StoreError: it is something else, and the message says what; or it is damaged.
    """
    tables: set[str] = set()
    steps: set[str] = set()
    try:
        with reading(path) as connection:
            rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            tables.update(str(name) for (name,) in rows.fetchall())
            if tables >= _TABLES:
                rows = connection.execute("SELECT name FROM migrations")
                steps.update(str(name) for (name,) in rows.fetchall())
    except apsw.NotADBError as ex:
        raise StoreError(f"{path} is damaged or no database, but {_beginning(path)}.") from ex
    except apsw.Error as ex:
        raise StoreError(f"{path} is damaged or cannot be read: {ex}.") from ex
    known = {migration.name for migration in MIGRATIONS}
    if MIGRATIONS[0].name not in steps:
        shown = ", ".join(sorted(tables)[:8]) or "none"
        raise StoreError(
            f"{path} is a database of another program (its tables: {shown}), not a copy that "
            "`appliance backup` made. Nothing was changed."
        )
    if unknown := sorted(steps - known):
        raise StoreTooNew(
            f"{path} was written by a newer version of the appliance ({', '.join(unknown)}). "
            "Update the appliance."
        )


def _beginning(path: Path) -> str:
    """What it seems to be."""
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except OSError as ex:
        return f"cannot be read: {ex.strerror}"
    if not begin:
        return "an empty file"
    if begin.lstrip()[:1] in (b"{", b"["):
        return "JSON: the page imports chats that it exported"
    return "a file of another kind"
