"""A failed upgrade is reverted automatically, without losing anything a user wrote."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.errors import StoreError, StoreTooNew
from appliance.store.copies.upgrade import NOTE, open_upgraded, went_well
from appliance.store.database import Database
from appliance.store.migrations import MIGRATIONS, Migration
from appliance.store.sessions import Sessions

NEXT = Migration("9001_next", "ALTER TABLE sessions ADD COLUMN colour TEXT; CREATE TABLE more (x);")
BROKEN = Migration("9002_broken", "INSERT INTO no_such_table VALUES (1);")
NEWER = [*MIGRATIONS, NEXT]


def started(path: Path, version: str, migrations: Sequence[Migration] = MIGRATIONS) -> Database:
    return open_upgraded(path, version, migrations)


@pytest.fixture
def old(path: Path) -> Path:
    """A database of the previous version, with a chat."""
    database = started(path, "1")
    Sessions(database).create("Kept")
    database.close()
    went_well(path)
    return path


def titles(database: Database) -> set[str]:
    with database.read() as connection:
        return {str(title) for (title,) in connection.execute("SELECT title FROM sessions")}


def columns(database: Database) -> set[str]:
    with database.read() as connection:
        return {str(row[1]) for row in connection.execute("PRAGMA table_info(sessions)")}


def test_a_new_database_needs_no_way_back(path: Path) -> None:
    started(path, "1").close()
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}-commits"}


def test_an_upgrade_that_went_well_stays_and_its_copy_is_kept(old: Path) -> None:
    database = started(old, "2", NEWER)
    note = json.loads((old.parent / NOTE).read_text())
    assert note["version"] == "2" and Path(note["copy"]).is_file()
    went_well(old)
    database.close()
    database = started(old, "2", NEWER)
    assert "colour" in columns(database) and titles(database) == {"Kept"}
    database.close()
    with pytest.raises(StoreTooNew, match="9001_next"):
        started(old, "1")
    copy = Database(Path(note["copy"]))
    assert "colour" not in columns(copy) and titles(copy) == {"Kept"}
    copy.close()


def test_the_version_before_finds_its_database_again(old: Path) -> None:
    started(old, "2", NEWER).close()  # and never became ready
    database = started(old, "1")
    assert "colour" not in columns(database) and titles(database) == {"Kept"}
    database.close()
    assert not (old.parent / NOTE).exists()
    (aside,) = old.parent.glob("appliance.db.*")
    made = Database(aside)
    assert "colour" in columns(made)
    made.close()


def test_the_same_version_begins_again_after_a_crash(old: Path) -> None:
    started(old, "2", NEWER).close()
    database = started(old, "2", NEWER)
    assert "colour" in columns(database) and titles(database) == {"Kept"}
    database.close()
    assert (old.parent / NOTE).exists()


def test_what_a_person_wrote_in_between_is_never_undone(old: Path) -> None:
    database = started(old, "2", NEWER)
    with database.write() as connection:
        connection.execute("UPDATE sessions SET title = 'Mine', updated_at = 9000000000000")
    database.close()
    with pytest.raises(StoreTooNew):
        started(old, "1")
    database = started(old, "2", NEWER)
    assert titles(database) == {"Mine"}
    database.close()


def test_a_step_that_fails_leaves_the_database_of_before(old: Path) -> None:
    with pytest.raises(StoreError, match="no_such_table"):
        started(old, "2", [*NEWER, BROKEN])
    database = started(old, "1")
    assert "colour" not in columns(database) and titles(database) == {"Kept"}
    database.close()


def test_a_note_that_says_nothing_hurts_nobody(old: Path) -> None:
    for content in (b"", b"{", b'{"copy": "/none", "version": "2", "began_at": 0}'):
        (old.parent / NOTE).write_bytes(content)
        database = started(old, "1")
        assert titles(database) == {"Kept"}
        database.close()


UPGRADER = """
import os, sys
from pathlib import Path
from appliance.store.copies import backup, upgrade
from appliance.store.migrations import MIGRATIONS, Migration

path, deaths = Path(sys.argv[1]), int(sys.argv[2])
seen = 0
def dying(function):
    def call(*arguments, **options):
        global seen
        seen += 1
        if seen == deaths:
            os._exit(9)
        return function(*arguments, **options)
    return call

for module, name in ((upgrade, "back_up"), (upgrade, "migrate"), (upgrade, "restore"),
                     (backup, "read_back"), (backup, "_copy"), (backup, "_sync")):
    setattr(module, name, dying(getattr(module, name)))
for name in ("rename", "replace", "unlink", "write_bytes"):
    setattr(Path, name, dying(getattr(Path, name)))
next = Migration("9001_next", sys.argv[3])
migrations = [*MIGRATIONS, next] if sys.argv[4] == "up" else MIGRATIONS
upgrade.open_upgraded(path, "2", migrations).close()
"""


def test_a_death_at_any_moment_of_going_up_or_back_loses_nothing(old: Path, tmp_path: Path) -> None:
    content = old.read_bytes()
    for way in ("up", "back"):
        for moment in range(1, 100):
            path = tmp_path / f"{way}{moment}" / "appliance.db"
            path.parent.mkdir()
            path.write_bytes(content)
            if way == "back":
                started(path, "2", NEWER).close()
            died = subprocess.run(
                [sys.executable, "-c", UPGRADER, str(path), str(moment), NEXT.sql, way],
                check=False,
                capture_output=True,
            )
            database = started(path, "1")
            assert titles(database) == {"Kept"}, (way, moment)
            assert "colour" not in columns(database)
            database.close()
            if died.returncode == 0:
                break
            assert died.returncode == 9, died.stderr
        assert 5 < moment < 99
