"""A complete scenario with a fault at each disk operation, and kills at random moments.

Stored data is correct or missing, never wrong, and the next start works.
"""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from appliance.errors import ApplianceError
from appliance.store.copies.backup import back_up, read_back
from appliance.store.copies.restore import restore
from appliance.store.copies.upgrade import open_upgraded
from appliance.store.database import Database
from appliance.store.migrations import MIGRATIONS, migrate
from appliance.store.search import Search
from appliance.store.sessions import Sessions
from appliance.store.upkeep.maintenance import Maintenance
from appliance.store.upkeep.retention import Retention
from tests.store.test_restore import killed_at
from tests.store.test_salvage import check, message_text

ROOT = Path(__file__).parents[3]
# An error from a disk in Python can't be raised while a file is being closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Disk(apsw.VFS):
    """Counts writes, syncs, truncations and deletions, fails at one, or from then on."""

    def __init__(self) -> None:
        self.real, self.left, self.stays, self.hit = apsw.vfs_names()[0], 0, False, False
        self.reason = errno.EIO
        super().__init__("failing", self.real)

    def step(self, code: int) -> None:
        if self.left == 0:
            return
        self.left -= 1
        if self.left == 0:
            self.hit = True
            self.left = 1 if self.stays else 0
            raise apsw.exception_for(code if self.reason == errno.EIO else apsw.SQLITE_FULL)

    def xOpen(  # noqa: N802
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.step(apsw.SQLITE_IOERR_DELETE)
        super().xDelete(filename, syncdir)

    def xGetLastError(self) -> tuple[int, str]:  # noqa: N802
        return self.reason, os.strerror(self.reason)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(disk.real, name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.step(apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.step(apsw.SQLITE_IOERR_TRUNCATE)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.step(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)


@contextlib.contextmanager
def failing_disk() -> Iterator[Disk]:
    disk = Disk()
    apsw.set_default_vfs("failing")
    try:
        yield disk
    finally:
        apsw.set_default_vfs(disk.real)
        disk.unregister()


class Acknowledged:
    """The operations that the scenario had acknowledged."""

    def __init__(self) -> None:
        self.chats: set[str] = set()
        self.finished: set[tuple[int, int]] = set()
        self.purged: set[str] = set()


def scenario(path: Path, done: Acknowledged) -> None:
    """Upgrade, chat, delete for good, back up, restore; raises ApplianceError at a fault."""
    database = open_upgraded(path, "2")
    try:
        sessions, retention = Sessions(database), Retention(database)
        sessions.interrupt_streaming()
        ids = []
        for chat in range(3):
            session = sessions.create(f"Chat {chat}")
            ids.append(session.id)
            done.chats.add(session.id)
            for turn in range(2):
                _, reply = sessions.begin_turn(session.id, message_text(chat, turn, "user"))
                sessions.grow_replies({reply.id: (message_text(chat, turn, "assistant")[:20], "")})
                sessions.finish_reply(reply.id, message_text(chat, turn, "assistant"), "complete")
                done.finished.add((chat, turn))
            database.checkpoint()
        # A deletion that failed on its way to the disk may be complete at the next start.
        done.chats.discard(ids[1])
        done.finished -= {(1, 0), (1, 1)}
        sessions.delete(ids[1])
        done.purged.update(retention.purge(0, age=1))
        Maintenance(database).run(1)
        copy = back_up(path, path.with_name("copy.db"))
    finally:
        database.close()
    restore(Path(copy.path), path)


def verify(path: Path, done: Acknowledged) -> None:
    """Checks that it starts, with all acknowledged data, and nothing wrong."""
    database = open_upgraded(path, "2")
    sessions = Sessions(database)
    sessions.interrupt_streaming()
    there = {session.id: session for session in sessions.list()}
    assert done.chats <= there.keys()
    assert not done.purged & there.keys()
    found = set()
    for session in there.values():
        for message in sessions.messages(session.id):
            assert not message.damaged
            if message.status == "complete":
                assert check(message.content, message.role, False)
                numbers = message.content.partition(":")[0].split()[-1].split("-")
                if message.role == "assistant":
                    found.add((int(numbers[0]), int(numbers[1])))
    assert done.finished <= found
    Search(database).find("words", 50)
    copy = path.with_name("copy.db")
    if copy.exists():
        read_back(copy)
    database.close()
    for file in path.parent.rglob("*"):
        assert not file.name.endswith((".part", ".restoring")), file
    read_back(path)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the previous schema, so that the scenario begins with an upgrade."""
    path = tmp_path_factory.mktemp("old") / "appliance.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at INTEGER) STRICT")
    for step in MIGRATIONS[:4]:
        connection.execute(step.sql).fetchall()
        connection.execute("INSERT INTO migrations VALUES (?, 0)", (step.name,))
    connection.close()
    return path


def fail_everywhere(folder: Path, old: Path, stays: bool, reason: int, step: int) -> int:
    """Runs the scenario with a fault at every `step`-th operation; its number of operations."""
    with failing_disk() as disk:
        disk.stays, disk.reason = stays, reason
        moment = 1
        while True:
            path = folder / str(moment) / "appliance.db"
            path.parent.mkdir()
            shutil.copyfile(old, path)
            disk.left, disk.hit = moment, False
            done = Acknowledged()
            # APSW raises SystemError when a disk in Python fails during a close.
            with contextlib.suppress(ApplianceError, apsw.Error, SystemError):
                scenario(path, done)
            disk.left = 0
            verify(path, done)
            shutil.rmtree(path.parent)
            if not disk.hit:
                return moment
            moment += step


FAULTS = [(False, errno.EIO), (True, errno.EIO), (False, errno.ENOSPC), (True, errno.ENOSPC)]


@pytest.mark.parametrize(("stays", "reason"), FAULTS)
def test_a_fault_at_any_operation_loses_nothing(
    tmp_path: Path, old: Path, stays: bool, reason: int
) -> None:
    # `make soak` covers every operation.
    assert fail_everywhere(tmp_path, old, stays, reason, 43) > 300


@pytest.mark.soak
@pytest.mark.parametrize(("stays", "reason"), FAULTS)
def test_a_fault_at_every_operation_loses_nothing(
    tmp_path: Path, old: Path, stays: bool, reason: int
) -> None:
    print(fail_everywhere(tmp_path, old, stays, reason, 1), "operations")


def killed_everywhere(folder: Path, old: Path, step: int) -> int:
    moment = 1
    while True:
        path = folder / str(moment) / "appliance.db"
        path.parent.mkdir()
        shutil.copyfile(old, path)
        died = killed_at(moment, lambda: scenario(path, Acknowledged()))  # noqa: B023
        verify(path, Acknowledged())
        shutil.rmtree(path.parent)
        if not died:
            return moment
        moment += step


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_kill_at_any_operation_does_no_harm(tmp_path: Path, old: Path) -> None:
    assert killed_everywhere(tmp_path, old, 61) > 300


@pytest.mark.soak
def test_a_kill_at_every_operation_does_no_harm(tmp_path: Path, old: Path) -> None:
    print(killed_everywhere(tmp_path, old, 1), "operations")


WRITER = """
import sys
from pathlib import Path
from tests.store.disk.test_faults import Acknowledged, scenario
path = Path(sys.argv[1])
class Loud(set):
    def add(self, value):
        super().add(value)
        print(value, flush=True)
done = Acknowledged()
done.chats = Loud()
scenario(path, done)
"""


@pytest.mark.soak
def test_200_kills_at_random_moments(tmp_path: Path) -> None:
    """Kills a process that writes all the time, and keeps using its database."""
    lots = random.Random(5)
    path = tmp_path / "appliance.db"
    migrate(first := Database(path))
    first.close()
    killed = 0
    for _ in range(200):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with child:
            assert child.stdout
            child.stdout.readline()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(lots.uniform(0, 0.6))
            killed += child.poll() is None
            child.send_signal(signal.SIGKILL)
        verify(path, Acknowledged())
    print(killed, "of 200 were killed at work")
