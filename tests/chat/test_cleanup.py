"""Deleted and expired chats are purged automatically, with everything stored for them."""

import threading
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
        ttl_seconds=lambda: 3600,
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


DAY = 24 * 3600 * 1000


class Clocks:
    """A wall clock and a monotonic clock, in milliseconds."""

    def __init__(self) -> None:
        self.wall, self.running = 1_700_000_000_000, 5_000

    def __call__(self, database: Database) -> AgeClock:
        return AgeClock(database, lambda: self.wall, lambda: self.running)

    def go_on(self, by: int, jump: int = 0) -> None:
        self.wall += by + jump
        self.running += by


def test_chats_age_by_the_time_that_passes(database: Database) -> None:
    clocks = Clocks()
    clock = clocks(database)
    begin, jump = clock.look()
    assert (begin, jump) == (1, None)
    clocks.go_on(30_000)
    assert clock.look() == (30_001, None)
    for years in (400, -10, 40):
        clocks.go_on(30_000, years * 365 * DAY)
        before = clock.look()
        assert before[1] and before[1].counted == 30_000
    assert clock.look()[0] == 120_001
    # A jump of an hour, as for daylight saving time, is not reported.
    clocks.go_on(30_000, 3_600_000)
    assert clock.look() == (150_001, None)


@pytest.mark.parametrize(
    ("off", "counted", "logged"),
    [
        (3_600_000, 3_600_000, False),
        (DAY, DAY, False),
        (400 * DAY, DAY, True),
        (-400 * DAY, 0, False),
    ],
)
def test_the_time_that_it_is_off_counts_a_day_at_most(
    database: Database, off: int, counted: int, logged: bool
) -> None:
    clocks = Clocks()
    clock = clocks(database)
    clock.look()
    clocks.go_on(60_000)
    clock.look()
    clock.save()
    clocks.wall += off
    clocks.running = 7
    age, jump = clocks(database).look()
    assert age == 60_001 + counted
    assert bool(jump) == logged
    if jump:
        assert (jump.by, jump.counted) == (400 * DAY, DAY)


def test_machines_whose_clock_begins_anew_at_each_start_count_no_day_each_time(
    database: Database,
) -> None:
    clocks = Clocks()
    right = clocks.wall
    for boot in range(20):
        clocks.wall, clocks.running = 0, 100
        clock = clocks(database)
        clock.look()
        # Soon the clock is corrected by the network.
        clocks.wall = right + boot * 60_000
        clocks.running += 10_000
        clock.look()
        clock.save()
    age, _ = clocks(database).look()
    assert age < DAY + 20 * 70_000


def test_a_clock_jump_deletes_no_chat_and_is_logged(database: Database) -> None:
    clocks = Clocks()
    sessions, retention = Sessions(database), Retention(database)
    kept, deleted = sessions.create("kept").id, sessions.create("deleted").id
    sessions.delete(deleted)
    warnings: list[str] = []
    looked = threading.Event()

    def look(_age: int) -> None:
        clocks.go_on(1000, 0 if looked.is_set() else 400 * DAY)
        looked.set()

    gone: list[str] = []
    cleanup = ChatCleanup(
        retention,
        clocks(database),
        gone.append,
        undo_seconds=60,
        ttl_seconds=lambda: 3600,
        interval=0.01,
        on_jump=warnings.append,
        also=[look],
    )
    cleanup.start()
    wait_until(lambda: len(warnings) == 1)
    assert "400 days" in warnings[0] and "0.0 days were counted" in warnings[0]
    assert gone == [] and sessions.restore(deleted).title == "deleted"
    assert sessions.get(kept).title == "kept"
    sessions.delete(deleted)
    wait_until(lambda: gone == [deleted])
    cleanup.close()
