"""Acknowledged changes survive any crash, of the process or of the machine."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.store.copies.backup import back_up
from appliance.store.copies.restore import restore
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.sessions import Sessions
from appliance.store.upkeep.maintenance import describe_loss
from tests.store.disk.faulty_disk import faulty_disk
from tests.store.test_restore import as_killed

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.sessions import Sessions

database = Database(Path(sys.argv[1]))
migrate(database)
sessions = Sessions(database)
session = sessions.create()
while True:
    user, reply = sessions.begin_turn(session.id, "question " * 500)
    print("stored", user.id, flush=True)
    print("stored", reply.id, flush=True)
    sessions.grow_replies({reply.id: ("half " * 500, "")})
    print("grown", reply.id, flush=True)
    sessions.finish_reply(reply.id, "whole " * 500, "complete", "stop")
    print("finished", reply.id, flush=True)
"""


def _acknowledged_before_kill(path: Path, lines: int) -> list[list[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        head = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        output = "".join(head) + child.stdout.read()
    assert len(head[-1].split()) == 2, "the writer ended by itself"
    # An incomplete last line was never acknowledged.
    return [line.split() for line in output.split("\n")[:-1]]


def test_a_killed_process_loses_nothing_that_it_acknowledged(path: Path) -> None:
    lots = random.Random(7)
    acknowledged: list[list[str]] = []
    for _ in range(20):
        acknowledged += _acknowledged_before_kill(path, lots.randint(1, 40))
        database = Database(path)
        migrate(database)
        sessions = Sessions(database)
        assert sessions.interrupt_streaming() <= 1
        for what, message_id in acknowledged:
            message = sessions.message(message_id)
            if message.role == "user":
                assert message.content == "question " * 500
            if what == "grown":
                assert message.content in ("half " * 500, "whole " * 500)
            if what == "finished":
                assert (message.content, message.status) == ("whole " * 500, "complete")
        for session in sessions.list():
            assert len(sessions.messages(session.id)) % 2 == 0
        database.close()


def test_a_power_cut_loses_nothing_that_was_acknowledged(path: Path, tmp_path: Path) -> None:
    with faulty_disk() as disk:
        database = Database(path)
        migrate(database)
        sessions = Sessions(database)
        session = sessions.create()
        for turn in range(12):
            _, reply = sessions.begin_turn(session.id, f"question {turn} " * 2_000)
            disk.cut_power(tmp_path / f"begun-{turn}")
            sessions.finish_reply(reply.id, f"answer {turn} " * 40_000, "complete")
            disk.cut_power(tmp_path / f"finished-{turn}")
        expected = sessions.messages(session.id)
        database.close()
    for turn in range(12):
        for moment, last in (("begun", "streaming"), ("finished", "complete")):
            found = Database(tmp_path / f"{moment}-{turn}" / path.name)
            messages = Sessions(found).messages(session.id)
            found.close()
            assert messages[:-1] == expected[: 2 * turn + 1]
            assert (len(messages), messages[-1].status) == (2 * turn + 2, last)


def _flip(wal: Path) -> None:
    content = bytearray(wal.read_bytes())
    content[32 + 24 + 100] ^= 4
    wal.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda wal: wal.write_bytes(b""),
    "garbage": lambda wal: wal.write_bytes(os.urandom(50_000)),
    "one bit": _flip,
    "cut off": lambda wal: wal.write_bytes(wal.read_bytes()[:-5000]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_wal_that_is_lost_or_damaged_is_noticed(
    path: Path, damage: Callable[[Path], object]
) -> None:
    as_killed(path)
    damage(path.with_name(f"{path.name}-wal"))
    database = Database(path)
    titles = {session.title for session in Sessions(database).list()}
    assert titles <= {"In the file", "In the WAL"}
    lost = database.lost()
    assert lost and lost.number >= 1 and 0 < lost.since <= lost.until
    assert "Messages of that time may be missing" in describe_loss(lost)
    assert database.lost() is None, "it is reported once"
    Sessions(database).create("Later")
    database.close()
    again = Database(path)
    assert again.lost() is None
    again.close()


def test_nothing_is_reported_lost_that_is_not(path: Path, tmp_path: Path) -> None:
    as_killed(path)
    for _ in range(2):
        database = Database(path)
        assert database.lost() is None
        assert len(Sessions(database).list()) == 2
        database.close()
    copy = Path(back_up(path, tmp_path / "copy.db").path)
    database = Database(path)
    Sessions(database).create("After the copy")
    database.close()
    restore(copy, path)
    database = Database(path)
    assert database.lost() is None
    assert len(Sessions(database).list()) == 2
    # A process that was killed before it could update the count beside the database.
    Sessions(database).create("Not counted")
    database.close()
    path.with_name(f"{path.name}-commits").unlink()
    database = Database(path)
    assert database.lost() is None
    database.close()


def test_what_was_stored_before_the_replies_ended_needs_no_wal(path: Path) -> None:
    database = Database(path)
    migrate(database)
    Sessions(database).create("A chat")
    assert database.checkpoint()
    content = path.read_bytes()
    database.close()
    path.write_bytes(content)
    database = Database(path)
    assert [session.title for session in Sessions(database).list()] == ["A chat"]
    database.close()
