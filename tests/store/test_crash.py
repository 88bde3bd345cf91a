"""What was acknowledged is there after any crash, of the process or of the machine."""

import random
import subprocess
import sys
from pathlib import Path

from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.sessions import Sessions
from tests.store.faulty_disk import faulty_disk

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
        said = "".join(head) + child.stdout.read()
    assert len(head[-1].split()) == 2, "the writer ended by itself"
    # A last line without its end was never said.
    return [line.split() for line in said.split("\n")[:-1]]


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
