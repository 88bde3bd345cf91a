"""A database of its own for every test, on real files."""

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
    """Unix milliseconds that go on by one a look, and can be set."""

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
    """Adds one message alone, as `Sessions` itself never does."""
    with sessions._database.write() as connection:
        session = find_session(connection, session_id)
        made = sessions._new_id(), sessions._clock()
        return messages.add(connection, made, session, parent_id, role, content, status, model)
