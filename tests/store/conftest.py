"""A new database for every test, on real files."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.store import messages
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.records import Message, MessageStatus, Role, find_session
from appliance.store.sessions import Sessions
from appliance.store.upkeep.retention import Retention


class Clock:
    """A clock in Unix milliseconds that advances by one at each call, and can be set."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "appliance.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retention(database: Database) -> Retention:
    return Retention(database)


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return Sessions(database, clock)


def add_message(
    sessions: Sessions,
    session_id: str,
    parent_id: str | None,
    role: Role,
    content: str,
    status: MessageStatus,
    model: str | None = None,
) -> Message:
    """Adds a single message, as `Sessions` itself never does."""
    with sessions._database.write() as connection:
        session = find_session(connection, session_id)
        made = sessions._new_id(), sessions._clock()
        return messages.add(connection, made, session, parent_id, role, content, status, model)


@contextlib.contextmanager
def small_disk(folder: Path, size: int, inodes: int = 0) -> Iterator[None]:
    """A small file system mounted on a folder; skips where it can't be mounted."""
    options = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")
    _mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be written."""
    _mount("--bind", str(folder), str(folder))
    _mount("-o", "remount,bind,ro", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting takes Linux and root")
    mounted = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not possible here: {mounted.stderr.strip()}")
