"""Purged chats leave no byte in any file, and in no new backup."""

from pathlib import Path

import apsw

from appliance.engine.kv_files import keep_sessions, opaque
from appliance.store.copies import kept
from appliance.store.copies.backup import back_up
from appliance.store.copies.upgrade import open_upgraded
from appliance.store.database import Database
from appliance.store.migrations import MIGRATIONS
from appliance.store.search import Search
from appliance.store.sessions import SessionChanges, Sessions
from appliance.store.upkeep.maintenance import Maintenance
from appliance.store.upkeep.retention import Retention

WORDS = ("Zwetschgendatschi", "Quittengelee", "Hagebuttentee", "Mirabellenkompott")
TITLE, QUESTION, ANSWER, REASONING = WORDS
DAY = 24 * 3600 * 1000


def found_in(folder: Path, words: tuple[str, ...] = WORDS) -> dict[str, list[str]]:
    """Which files have which words, in the encodings that SQLite could write."""
    found = {}
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            there = [word for word in words if any(f(word) in content for f in ENCODINGS)]
            if there:
                found[file.name] = there
    return found


ENCODINGS = (
    str.encode,
    lambda word: word.lower().encode(),
    lambda word: word.encode("utf-16-le"),
)


def talk(sessions: Sessions) -> str:
    """A long chat with all the words, grown in steps, edited, and regenerated."""
    session = sessions.create(TITLE)
    for turn in range(6):
        _, reply = sessions.begin_turn(session.id, f"{QUESTION} {turn} " * 200)
        for step in range(1, 6):
            sessions.grow_replies({reply.id: (f"{ANSWER} " * 150 * step, f"{REASONING} " * step)})
        sessions.finish_reply(reply.id, f"{ANSWER} " * 900, "complete", reasoning=REASONING)
    sessions.begin_turn(session.id, f"{QUESTION}, otherwise", None)
    sessions.interrupt_streaming()
    sessions.update(session.id, SessionChanges(title=f"{TITLE} again"))
    return session.id


def fill(sessions: Sessions) -> None:
    """Other chats, so that pages are shared, and the index has more than one segment."""
    for number in range(30):
        _, reply = sessions.begin_turn(sessions.create().id, f"Some other chat, number {number}")
        sessions.finish_reply(reply.id, "About something else. " * (number * 10), "complete")


def test_no_byte_of_a_purged_chat_is_left(database: Database, sessions: Sessions) -> None:
    folder = database.path.parent
    fill(sessions)
    session_id = talk(sessions)
    fill(sessions)
    database.checkpoint()
    assert found_in(folder) == {"appliance.db": list(WORDS)}
    sessions.delete(session_id)
    assert Retention(database).purge(0, age=1) == [session_id]
    assert found_in(folder) == {}
    back_up(database.path, folder / "copy.db")
    database.close()
    assert found_in(folder) == {}
    # Trigrams of the index are removed as well.
    database = Database(database.path)
    with database.read() as connection:
        pieces = connection.execute("SELECT block FROM message_search_data").fetchall()
    blocks = b"".join(bytes(block) for (block,) in pieces)  # type: ignore[arg-type]
    assert b"zwe" not in blocks and b"uit" not in blocks
    assert Search(database).find("Quittengelee", 9).hits == []
    assert len(Search(database).find("other chat", 199).hits) == 120
    database.close()


def test_what_older_versions_left_goes_when_there_is_room(path: Path) -> None:
    # Like an older version, which overwrote nothing.
    path.parent.mkdir()
    old = apsw.Connection(str(path))
    old.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at INTEGER) STRICT")
    for step in MIGRATIONS[:4]:
        old.execute(step.sql).fetchall()
        old.execute("INSERT INTO migrations VALUES (?, 0)", (step.name,))
    for session in ("kept", "gone"):
        old.execute(
            "INSERT INTO sessions (id, title, created_at, updated_at) VALUES (?, ?, 0, 0)",
            (session, TITLE if session == "gone" else "Kept"),
        )
        for number in range(40):
            text = f"{QUESTION} " * 60 if session == "gone" else f"What stays, {number} " * 60
            old.execute(
                "INSERT INTO messages (id, session_id, role, status, created_at, content)"
                " VALUES (?, ?, 'user', 'complete', 0, ?)",
                (f"{session}{number}", session, text),
            )
    old.execute("PRAGMA foreign_keys = ON")
    old.execute("DELETE FROM sessions WHERE id = 'gone'")
    old.close()
    assert found_in(path.parent)

    database = open_upgraded(path, "2")
    (copy,) = (path.parent / "backups").iterdir()
    assert found_in(copy.parent) == {}
    free = [10_000]
    maintenance = Maintenance(database, lambda: free[0])
    maintenance.run(1)
    assert "appliance.db" in found_in(path.parent), "there was no room, and yet it went"
    back_up(path, path.parent / "new.db")
    assert "new.db" not in found_in(path.parent)
    free[0] = 1 << 40
    maintenance.run(2)
    assert "appliance.db" in found_in(path.parent), "it is tried once a day"
    maintenance.run(DAY + 2)
    assert found_in(path.parent) == {}
    assert len(Sessions(database).messages("kept")) == 40
    assert len(Search(database).find("What stays", 99).hits) == 40
    with database.read() as connection:
        assert connection.pragma("auto_vacuum") == 2
    database.close()


def test_kept_copies_go_after_30_days_and_others_stay(database: Database) -> None:
    folder = database.path.parent
    (folder / "backups").mkdir()
    goes = [
        folder / "appliance.db.20260101-120000",
        folder / "appliance.db.20260101-120000-wal",
        folder / "appliance.db.20260101-120000-2",
        folder / "backups" / "before-0005_safety-20260101-120000.db",
    ]
    stays = [
        folder / "backups" / "appliance-20260101-120000.db",
        folder / "my chats.db.20260101-120000",
        folder / "appliance.db.important",
        folder / "backups" / "appliance.db.20260101-120000",
    ]
    for file in (*goes, *stays):
        file.write_bytes(b"x")
    assert kept.expire(database, 5) == []
    assert kept.expire(database, 5 + 30 * DAY - 1) == []
    late = folder / "appliance.db.20260105-120000"
    late.write_bytes(b"x")
    assert kept.expire(database, 5 + 30 * DAY - 1) == []
    assert set(kept.expire(database, 5 + 30 * DAY)) == set(goes)
    assert late.exists() and all(file.exists() for file in stays)
    assert kept.expire(database, 5 + 60 * DAY) == [late]
    assert database.path.exists()


def test_kv_files_of_chats_that_are_gone_go_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    there, gone = (folder / f"{opaque(name)}-123-0.kv" for name in ("there", "gone"))
    other = folder / "none-123-0.kv"
    for file in (there, gone, other):
        file.write_bytes(b"x")
    keep_sessions(tmp_path, ["there"])
    assert {file.name for file in folder.iterdir()} == {there.name, other.name}
