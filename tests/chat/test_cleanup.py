"""What was deleted or expired goes by itself, and with it what else was kept of it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.chat.cleanup import ChatCleanup
from appliance.errors import StoreFull
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.sessions import Sessions
from appliance.store.upkeep.age_clock import AgeClock
from appliance.store.upkeep.retention import Retention


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "appliance.db")
    migrate(opened)
    yield opened
    opened.close()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_deleted_chats_go_at_the_start_and_afterwards(database: Database) -> None:
    sessions = Sessions(database)
    before, later, kept = (sessions.create(title).id for title in "abc")
    sessions.delete(before)
    gone: list[str] = []
    cleanup = ChatCleanup(
        Retention(database), AgeClock(database), gone.append, undo_seconds=0, interval=0.01
    )
    cleanup.start()
    wait_until(lambda: gone == [before])
    sessions.delete(later)
    wait_until(lambda: gone == [before, later])
    cleanup.close()
    assert [session.id for session in sessions.list()] == [kept]


def test_a_deletion_can_be_undone_for_a_while(database: Database) -> None:
    sessions = Sessions(database)
    session = sessions.create("a")
    sessions.delete(session.id)
    gone: list[str] = []
    cleanup = ChatCleanup(
        Retention(database), AgeClock(database), gone.append, undo_seconds=600, interval=0.01
    )
    cleanup.start()
    time.sleep(0.1)
    cleanup.close()
    assert gone == []
    assert sessions.restore(session.id) == session


def test_chats_expire_if_they_are_to(database: Database) -> None:
    sessions = Sessions(database)
    old = sessions.create("old").id
    retention = Retention(database)
    retention.expire(3600, age=1, now=1)
    young = sessions.create("young").id
    with database.write() as connection:
        connection.execute("UPDATE storage SET age = 3600001")
    cleanup = ChatCleanup(
        retention,
        AgeClock(database),
        lambda _: None,
        undo_seconds=600,
        ttl_seconds=3600,
        interval=0.01,
    )
    cleanup.start()
    wait_until(lambda: retention.expired() == [old])
    cleanup.close()
    assert [session.id for session in sessions.list()] == [young]
    assert sessions.restore(old).title == "old"


def test_a_full_disk_does_not_end_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = Sessions(database)
    session_id = sessions.create("a").id
    sessions.delete(session_id)
    retention = Retention(database)
    purge = retention.purge
    tries: list[int] = []

    def full_once(seconds: float, age: int) -> object:
        tries.append(1)
        if len(tries) == 1:
            raise StoreFull("the disk is full")
        return purge(seconds, age)

    monkeypatch.setattr(retention, "purge", full_once)
    gone: list[str] = []
    cleanup = ChatCleanup(retention, AgeClock(database), gone.append, undo_seconds=0, interval=0.01)
    cleanup.start()
    wait_until(lambda: gone == [session_id])
    cleanup.close()
    assert "tried again" in caplog.text


def test_without_an_undo_a_deleted_chat_goes_at_once(database: Database) -> None:
    sessions = Sessions(database)
    gone: list[str] = []
    cleanup = ChatCleanup(
        Retention(database), AgeClock(database), gone.append, undo_seconds=0, interval=3600
    )
    cleanup.start()
    for title in "abc":
        session_id = sessions.create(title).id
        sessions.delete(session_id)
        cleanup.wake()
        wait_until(lambda: session_id in gone)  # noqa: B023 - called at once
    cleanup.close()
