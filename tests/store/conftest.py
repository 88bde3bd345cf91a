"""A database of its own for every test, on real files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.retention import Retention
from appliance.store.sessions import Sessions


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
def retention(database: Database, clock: Clock) -> Retention:
    return Retention(database, clock)


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return Sessions(database, clock)
