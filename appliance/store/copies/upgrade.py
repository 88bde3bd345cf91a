"""Rollback of an upgrade: a copy before the schema changes, and how it is restored.

Before a version takes its first step on a database, it keeps a copy and writes `upgrade.json`, and
takes that note away once it is ready. Whoever starts and still finds the note – the same version
after a crash, or the one before, put back – puts the copy in its place first, unless somebody has
written since: what a person wrote is never undone.
"""

import contextlib
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec

from appliance.errors import StoreError, StoreFull, StoreReadOnly
from appliance.store.copies.backup import back_up
from appliance.store.copies.kept import FOLDER
from appliance.store.copies.restore import clear_leftovers, finish_restore, restore
from appliance.store.database import Database
from appliance.store.migrations import MIGRATIONS, Migration, migrate, pending
from appliance.system.files import replace_file

log = logging.getLogger(__name__)

NOTE = "upgrade.json"
KEPT = 3
"""Copies from upgrades that went well, newest first."""


class Upgrade(msgspec.Struct, frozen=True):
    """The note: an upgrade that is not known to have gone well."""

    copy: str
    version: str
    began_at: int
    """Unix milliseconds."""


def open_upgraded(
    path: Path, version: str, migrations: Sequence[Migration] = MIGRATIONS
) -> Database:
    """The database with the schema of this version; with a way back until `went_well`.

    Where nothing can be written, it is an upgraded copy, for reading alone.

    Raises:
        StoreTooNew: a newer version wrote it; nothing was touched.
        StoreError, StoreFull: it cannot be opened or upgraded; it is as it was.
    """
    finish_restore(path)
    clear_leftovers(path)
    _go_back(path)
    database = Database(path)
    try:
        steps = pending(database, migrations)
        if not steps or _is_new(database):
            migrate(database, migrations)
            return database
        copy = _copies(path) / f"before-{steps[0].name}-{time.strftime('%Y%m%d-%H%M%S')}.db"
        back_up(path, copy)
        note = Upgrade(str(copy), version, time.time_ns() // 1_000_000)
        replace_file(_note_file(path), msgspec.json.encode(note), durable=True)
        log.info("the database is upgraded; as it was, it is in %s", copy)
        migrate(database, migrations)
    except StoreError as error:
        why = error if isinstance(error, StoreFull) else database.state.as_error()
        database.close()
        _go_back(path)
        if not isinstance(why, StoreFull | StoreReadOnly):
            raise
        return _upgraded_copy(path, migrations, why)
    except OSError as ex:
        database.close()
        raise StoreError(f"{_note_file(path)} cannot be written: {ex.strerror}.") from ex
    return database


def _upgraded_copy(
    path: Path, migrations: Sequence[Migration], why: StoreFull | StoreReadOnly
) -> Database:
    """For reading, in the folder for temporary files, until it is closed.

    Raises:
        StoreFull, StoreReadOnly: `why`; there is no room for a copy either.
    """
    folder = tempfile.TemporaryDirectory(prefix="appliance-")
    copy = Path(folder.name) / path.name
    try:
        back_up(path, copy)
        with contextlib.closing(Database(copy)) as database:
            migrate(database, migrations)
        return Database(copy, why_read_only=why, on_close=folder.cleanup)
    except StoreError:
        folder.cleanup()
        raise why from None


def went_well(path: Path) -> None:
    """This version works on the database: it stays as it is now."""
    with contextlib.suppress(OSError):
        _note_file(path).unlink()
        for old in sorted(_copies(path).glob("before-*.db"), key=_age)[KEPT:]:
            old.unlink()


def _go_back(path: Path) -> None:
    try:
        note = msgspec.json.decode(_note_file(path).read_bytes(), type=Upgrade)
    except FileNotFoundError:
        return
    except (OSError, msgspec.DecodeError) as ex:
        log.warning("%s cannot be read and is left alone: %s", _note_file(path), ex)
        return
    if _written_since(path, note.began_at):
        log.warning("version %s was not ready, but was written to: it is kept", note.version)
    elif not Path(note.copy).is_file():
        log.warning("the copy %s is gone; the database is kept", note.copy)
    else:
        aside = restore(Path(note.copy), path)
        log.warning(
            "version %s was never ready: the database is again as it was before; what that version "
            "made of it is in %s",
            note.version,
            aside.path if aside else "nowhere",
        )
    _note_file(path).unlink(missing_ok=True)


def _written_since(path: Path, moment: int) -> bool:
    """Whether a person did something; a schema that we do not understand counts as no."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error:
        return False
    try:
        found = connection.execute(
            "SELECT max(at) FROM (SELECT max(created_at) AS at FROM messages"
            " UNION ALL SELECT max(updated_at) FROM sessions)"
        ).fetchall()
    except apsw.Error:
        return False
    finally:
        connection.close()
    return bool(found and isinstance(found[0][0], int) and found[0][0] >= moment)


def _is_new(database: Database) -> bool:
    with database.read() as connection:
        return not connection.table_exists("main", "migrations")


def _note_file(path: Path) -> Path:
    return path.with_name(NOTE)


def _copies(path: Path) -> Path:
    return path.with_name(FOLDER)


def _age(file: Path) -> float:
    return -file.stat().st_mtime
