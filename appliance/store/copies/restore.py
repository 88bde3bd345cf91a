"""Replaces the database with a copy, in steps between which a crash does no harm.

1. The copy is copied beside the database and read back.
2. The current database is kept: as one file, with the content of its WAL, read back.
3. A file records that both are good; after a crash from here on, the next start completes the rest.
4. The old database's WAL is removed, the new file takes its place, the record is removed.
"""

import contextlib
import logging
import os
import shutil
import time
from pathlib import Path

import msgspec

from appliance.errors import StoreError, StoreFull
from appliance.store.copies.backup import back_up, read_back
from appliance.store.copies.kinds import check_ours
from appliance.store.disk import commit_record
from appliance.system.files import replace_file, sync_folder

log = logging.getLogger(__name__)

NOTE = "restore.json"
_BESIDE = ("-wal", "-shm")


class Kept(msgspec.Struct, frozen=True):
    """Where the database that was replaced is now."""

    path: Path
    whole: bool = True
    """False: it was damaged, and is kept as it was, with a WAL beside it if it had one."""


class _Restore(msgspec.Struct, frozen=True):
    """The note: `candidate` is to take the database's place."""

    candidate: str
    copy: str
    kept: str


def restore(copy: Path, database: Path) -> Kept | None:
    """Put a copy in the place of the database, which must not be in use.

    Returns:
        What was there; None: nothing was.

    Raises:
        StoreError: the copy is damaged or no copy of ours, or files cannot be written. The
            database is as it was.
    """
    try:
        finish_restore(database)
        check_ours(copy)
        read_back(copy)
        candidate = database.with_name(f".{database.name}.restoring")
        back_up(copy, candidate)
        kept = _keep(database) if _exists(database) else None
        note = _Restore(str(candidate), str(copy), str(kept.path) if kept else "")
        replace_file(database.with_name(NOTE), msgspec.json.encode(note), durable=True)
        finish_restore(database)
    except OSError as ex:
        raise StoreError(f"{database} cannot be replaced: {ex.strerror}.") from ex
    return kept


def finish_restore(database: Path) -> None:
    """Continue a restore that a crash interrupted, if there was one; nothing may be using the
    database.

    Raises:
        StoreError: that failed, and is to be tried again before the database is opened.
    """
    file = database.with_name(NOTE)
    try:
        note = msgspec.json.decode(file.read_bytes(), type=_Restore)
    except FileNotFoundError:
        return
    except (OSError, msgspec.DecodeError) as ex:
        raise StoreError(f"{file}, which says what is to be restored, cannot be read: {ex}") from ex
    candidate = Path(note.candidate)
    try:
        if candidate.exists():
            # A WAL belongs to the file that it was written for: it would damage the new one.
            for end in _BESIDE:
                database.with_name(database.name + end).unlink(missing_ok=True)
            commit_record.forget(database)
            sync_folder(database.parent)
            candidate.replace(database)
            sync_folder(database.parent)
        file.unlink(missing_ok=True)
    except OSError as ex:
        raise StoreError(f"{database} cannot be replaced by {note.copy}: {ex.strerror}.") from ex
    log.info("the chats are those of %s; those of before: %s", note.copy, note.kept or "none")


def clear_leftovers(database: Path) -> None:
    """Remove what a killed process left half copied; the database must not be in use."""
    if database.with_name(NOTE).exists():
        return
    for folder in (database.parent, database.with_name("backups")):
        for pattern in ("*.part", "*.part-*", f".{database.name}.restoring*"):
            for file in folder.glob(pattern):
                with contextlib.suppress(OSError):
                    if not _is_being_written(file):
                        file.unlink()


def _is_being_written(file: Path) -> bool:
    """By a process that copies the chats just now; its number is in the name."""
    number = file.name.rpartition(".part")[0].rpartition(".")[2]
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    import psutil  # late: there is nothing left over, as a rule

    return psutil.pid_exists(int(number))


def _exists(database: Path) -> bool:
    return any(database.with_name(database.name + end).exists() for end in ("", "-wal"))


def _keep(database: Path) -> Kept:
    """A copy of what is there now.

    Raises:
        OSError, StoreFull: there is no room for it.
    """
    kept = _free_name(database.with_name(f"{database.name}.{time.strftime('%Y%m%d-%H%M%S')}"))
    try:
        back_up(database, kept)
    except StoreFull:
        raise
    except StoreError as ex:
        log.warning("what is kept is damaged, and kept as it is: %s", ex)
    else:
        return Kept(kept)
    for end in ("", "-wal"):
        there = database.with_name(database.name + end)
        if there.exists():
            copied = kept.with_name(kept.name + end)
            partial = copied.with_name(f".{copied.name}.{os.getpid()}.part")
            shutil.copyfile(there, partial)
            partial.chmod(0o600)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(copied)
    sync_folder(kept.parent)
    return Kept(kept, whole=False)


def _free_name(wanted: Path) -> Path:
    name, number = wanted, 1
    while name.exists():
        number += 1
        name = wanted.with_name(f"{wanted.name}-{number}")
    return name
