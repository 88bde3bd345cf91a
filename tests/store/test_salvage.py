"""Damaged databases: each opens or gives an error, and its intact data can be salvaged."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from appliance.errors import SessionNotFound, StoreError
from appliance.store.copies.restore import restore
from appliance.store.copies.salvage import Salvaged, salvage
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.search import Search
from appliance.store.sessions import ClientId, Sessions, Settings
from appliance.store.settings import DefaultProfile

PAGE = 4096
CHATS, TURNS = 12, 6


def message_text(chat: int, turn: int, who: str) -> str:
    """The message texts of these tests: a text shows whether it is complete."""
    return f"{who} {chat}-{turn}: " + f"words of {chat} and {turn} by {who}, " * (turn * turn * 12)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A database with a WAL that contains part of the data."""
    path = tmp_path_factory.mktemp("whole") / "appliance.db"
    database = Database(path)
    migrate(database)
    sessions = Sessions(database)
    DefaultProfile(database).replace(Settings(top_k=7))
    for chat in range(CHATS):
        session = sessions.create(f"Chat {chat}")
        for turn in range(TURNS):
            _, reply = sessions.begin_turn(session.id, message_text(chat, turn, "user"))
            sessions.finish_reply(reply.id, message_text(chat, turn, "assistant"), "complete")
        if chat == CHATS - 3:
            database.checkpoint()
    content = path.read_bytes(), path.with_name(f"{path.name}-wal").read_bytes()
    database.close()
    return content


Damage = Callable[[bytearray, bytearray, random.Random], object]


def _flip(content: bytearray, lots: random.Random, times: int = 1) -> None:
    for _ in range(times):
        content[lots.randrange(len(content))] ^= 1 << lots.randrange(8)


def _overwrite(content: bytearray, lots: random.Random, with_what: bytes) -> None:
    begin = lots.randrange(len(content) // PAGE) * PAGE
    content[begin : begin + PAGE] = with_what


def _cut(content: bytearray, lots: random.Random) -> None:
    del content[lots.randrange(len(content)) :]


def _swap(content: bytearray, lots: random.Random) -> None:
    one, other = (lots.randrange(len(content) // PAGE) * PAGE for _ in range(2))
    content[one : one + PAGE], content[other : other + PAGE] = (
        content[other : other + PAGE],
        content[one : one + PAGE],
    )


def _spoil_wal(_: bytearray, wal: bytearray, lots: random.Random) -> None:
    _flip(wal, lots, 3)
    if lots.random() < 0.3:
        _cut(wal, lots)


KINDS: dict[str, Damage] = {
    "bits of the file": lambda file, _, lots: _flip(file, lots, lots.randint(1, 20)),
    "a page of noise": lambda file, _, lots: _overwrite(file, lots, lots.randbytes(PAGE)),
    "a page of zeros": lambda file, _, lots: _overwrite(file, lots, bytes(PAGE)),
    "cut off": lambda file, _, lots: _cut(file, lots),
    "pages swapped": lambda file, _, lots: _swap(file, lots),
    "the header": lambda file, _, lots: file.__setitem__(slice(0, 100), lots.randbytes(100)),
    "the WAL": _spoil_wal,
}


def damaged(folder: Path, whole: tuple[bytes, bytes], damage: Damage, lots: random.Random) -> Path:
    file, wal = bytearray(whole[0]), bytearray(whole[1])
    damage(file, wal, lots)
    path = folder / "appliance.db"
    for end in ("", "-wal", "-shm", "-commits"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.write_bytes(file)
    path.with_name(f"{path.name}-wal").write_bytes(wal)
    return path


def shown(path: Path) -> tuple[str, int]:
    """The visible result: the outcome, and the number of correct messages. A wrong one is always
    marked."""
    try:
        database = Database(path)
    except StoreError:
        return "refused", 0
    right = 0
    try:
        migrate(database)
        sessions = Sessions(database)
        for session in sessions.list():
            with contextlib.suppress(SessionNotFound):  # its own id is damaged
                for message in sessions.messages(session.id):
                    right += check(message.content, message.role, message.damaged)
        Search(database).find("words", 50)
    except StoreError:
        return "failed", right
    finally:
        database.close()
    return "read", right


def check(content: str, role: str, is_marked: bool) -> int:
    """Whether a message is correct; a wrong one must be marked."""
    heading, _, _rest = content.partition(": ")
    numbers = heading.rpartition(" ")[2].split("-")
    right = False
    if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
        right = message_text(int(numbers[0]), int(numbers[1]), role) == content
    # A reply as first stored; its text was lost with the WAL.
    begun = role == "assistant" and not content
    assert right or begun or is_marked, (role, content[:200])
    return right


def storm(
    folder: Path, whole: tuple[bytes, bytes], count: int, seed: int
) -> dict[str, Counter[str]]:
    """That many damaged databases of each kind."""
    outcomes = {}
    for kind, damage in KINDS.items():
        lots = random.Random(f"{seed} {kind}")
        outcomes[kind] = counted = Counter[str]()
        for _ in range(count):
            path = damaged(folder, whole, damage, lots)
            target = folder / "salvaged.db"
            found = _salvaged(path, target)
            outcome, right = shown(path)
            counted[outcome] += 1
            if found:
                _, still = shown(target)
                counted["messages salvaged"] += still
                # Everything that SQLite can still read is salvaged.
                assert still >= right - found.damaged_messages, (kind, found, right)
                target.unlink()
                target.with_name("salvaged.db-commits").unlink()
            else:
                counted["nothing salvaged"] += 1
    return outcomes


def _salvaged(path: Path, target: Path) -> Salvaged | None:
    before = path.read_bytes()
    try:
        found = salvage(path, target)
    except StoreError:
        return None
    finally:
        assert path.read_bytes() == before
    return found


def test_of_damaged_databases_what_is_whole_is_read(
    tmp_path: Path, whole: tuple[bytes, bytes]
) -> None:
    outcomes = storm(tmp_path, whole, 6, 1)
    everything = 2 * CHATS * TURNS
    for kind, counted in outcomes.items():
        least = 0.3 if kind == "cut off" else 0.9
        assert counted["messages salvaged"] > least * 6 * everything, (kind, counted)


@pytest.mark.soak
def test_1000_damaged_databases(tmp_path: Path, whole: tuple[bytes, bytes]) -> None:
    for kind, counted in storm(tmp_path, whole, 143, 2).items():
        print(kind, dict(counted))


def test_an_undamaged_database_is_salvaged_whole(
    tmp_path: Path, whole: tuple[bytes, bytes]
) -> None:
    path = damaged(tmp_path, whole, lambda *_: None, random.Random(0))
    found = salvage(path, tmp_path / "new.db")
    assert (found.chats, found.messages) == (CHATS, 2 * CHATS * TURNS)
    assert (found.missing, found.damaged_messages, found.chats_without_title) == (0, 0, 0)
    assert found.settings and found.damaged_pages == 0
    assert restore(tmp_path / "new.db", path)
    one, other = Database(path), Database(tmp_path / "new.db")
    assert Sessions(one).list() == Sessions(other).list()
    assert len(Sessions(one).list()) == CHATS
    assert DefaultProfile(one).get() == Settings(top_k=7)
    assert Search(one).find("words of 3 and 4", 99).hits
    one.close()
    other.close()


def test_what_is_missing_is_counted(tmp_path: Path, whole: tuple[bytes, bytes]) -> None:
    path = damaged(tmp_path, whole, lambda *_: None, random.Random(0))
    Database(path).close()
    content = bytearray(path.read_bytes())
    place = content.find(message_text(3, 1, "assistant").encode()) // PAGE * PAGE
    content[place : place + PAGE] = bytes(PAGE)
    path.write_bytes(content)
    found = salvage(path, tmp_path / "new.db")
    assert 0 < found.missing == 2 * CHATS * TURNS - found.messages
    with pytest.raises(StoreError, match="is there already"):
        salvage(path, tmp_path / "new.db")
    database = Database(tmp_path / "new.db")
    sessions = Sessions(database)
    for session in sessions.list():
        known: set[str | None] = {None}
        for message in sessions.messages(session.id):
            assert message.parent_id in known
            known.add(message.id)
        assert session.leaf_id in known
    database.close()


def test_what_was_deleted_is_not_brought_back(tmp_path: Path, whole: tuple[bytes, bytes]) -> None:
    path = damaged(tmp_path, whole, lambda *_: None, random.Random(0))
    # By another program, which does not overwrite deleted data.
    other = apsw.Connection(str(path))
    other.create_scalar_function("message_checksum", lambda *_: 0)
    other.pragma("foreign_keys", "ON")
    other.execute("DELETE FROM sessions WHERE title IN ('Chat 1', 'Chat 2')").fetchall()
    other.close()
    assert salvage(path, tmp_path / "new.db").chats == CHATS - 2
    database = Database(tmp_path / "new.db")
    assert Search(database).find('"words of 1 and"', 9).hits == []
    database.close()


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"SQLite format 3\0" + bytes(9000)])
def test_a_file_without_chats_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(StoreError, match="no chats that could be found"):
        salvage(tmp_path / "file", tmp_path / "new.db")
    with pytest.raises(StoreError, match="cannot be read"):
        salvage(tmp_path / "none", tmp_path / "new.db")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_what_clients_call_sessions_is_salvaged(tmp_path: Path) -> None:
    database = Database(tmp_path / "appliance.db")
    migrate(database)
    sessions = Sessions(database)
    for owner in ("key", ""):
        made = sessions.create("titled", client=ClientId("a name / ü", owner))
        sessions.begin_turn(made.id, "words")
    database.close()
    found = salvage(tmp_path / "appliance.db", tmp_path / "salvaged.db")
    assert found.chats == 2
    again = Database(tmp_path / "salvaged.db")
    for owner in ("", "key"):
        id = Sessions(again).id_of_client(ClientId("a name / ü", owner))
        assert Sessions(again).get(id).client_id == "a name / ü"
    again.close()
