"""One bad entry of each kind at a time: every list still shows the others."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from appliance.auth.keys import records
from appliance.auth.keys.records import Key, Record, Row
from appliance.errors import RequestError
from appliance.models.gguf import header
from appliance.models.hub.client import Repo, RepoFile
from appliance.models.hub.job_store import Job, JobFolder
from appliance.models.local.index import ModelIndex
from appliance.models.local.metadata_cache import MetadataCache
from appliance.models.local.ollama import MODEL_LAYER
from appliance.models.local.sources import ModelSource, candidates
from appliance.models.memory.fit import MemoryNeeds
from appliance.store.callers.preferences import PreferenceBook
from appliance.store.database import Database
from appliance.store.import_export import ChatImportExport
from appliance.store.migrations import migrate
from appliance.store.search import Search
from appliance.store.sessions import Message, Session, Sessions, Settings
from appliance.store.settings import DefaultProfile
from appliance.store.upkeep.retention import Retention
from tests.models.gguf_writer import llama


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "appliance.db")
    migrate(opened)
    yield opened
    opened.close()


def spoil(database: Database, sql: str) -> None:
    """Change the database as a disk fault would, bypassing all checks."""
    database.close()
    connection = apsw.Connection(str(database.path))
    connection.pragma("writable_schema", "ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(replace(sql, ') STRICT', ')'), ' NOT NULL', '')"
        " WHERE name IN ('sessions', 'messages', 'profile', 'preferences')"
    )
    connection.pragma("schema_version", connection.pragma("schema_version") + 1)
    connection.close()
    connection = apsw.Connection(str(database.path))
    connection.create_scalar_function("message_checksum", lambda *_: 0)
    connection.execute(sql).fetchall()
    connection.close()


SESSION_DAMAGE = (
    "title = CAST(x'ff41fe' AS TEXT)",
    "title = x'0011ff'",
    'settings = \'{"temperature": "warm"}\'',
    "settings = '{'",
    "settings = CAST(x'ff' AS TEXT)",
    "created_at = 'yesterday'",
    "updated_at = NULL",
    "leaf_id = CAST(x'c328' AS TEXT)",
    "title = NULL",
)
MESSAGE_DAMAGE = (
    "content = CAST(x'4142ff' AS TEXT)",
    "content = replace(content, 'answer', 'bnswer')",
    "content = x'00ff'",
    "reasoning = CAST(x'f0' AS TEXT)",
    "role = 'asristant'",
    "status = 'complete?'",
    "finish_reason = 'stpp'",
    "created_at = 'then'",
    "prompt_tokens = 'many'",
    "model = CAST(x'fe' AS TEXT)",
    "error_code = 'x', error_message = CAST(x'fe' AS TEXT)",
    "checksum = 7",
    "content = NULL",
)


@pytest.mark.parametrize("damage", SESSION_DAMAGE)
def test_a_damaged_chat_hides_no_other(database: Database, damage: str) -> None:
    sessions = Sessions(database)
    chats = [sessions.create(f"chat {number}").id for number in range(3)]
    for chat in chats:
        _, reply = sessions.begin_turn(chat, "question")
        sessions.finish_reply(reply.id, "answer", "complete")
    spoil(database, f"UPDATE sessions SET {damage} WHERE id = '{chats[1]}'")
    again = Database(database.path)
    sessions = Sessions(again)
    listed = {session.id: session for session in sessions.list()}
    assert set(listed) == set(chats)
    assert [listed[chat].damaged for chat in chats] == [False, True, False]
    assert msgspec.json.encode(list(listed.values()))
    assert [message.content for message in sessions.messages(chats[1])] == ["question", "answer"]
    assert len(Search(again).find("answer", 9).hits) == 3
    sessions.delete(chats[1])
    assert Retention(again).purge(0, age=1) == [chats[1]]
    assert {session.id for session in sessions.list()} == {chats[0], chats[2]}
    again.close()


@pytest.mark.parametrize("damage", MESSAGE_DAMAGE)
def test_a_damaged_message_is_marked_and_hides_no_other(database: Database, damage: str) -> None:
    sessions = Sessions(database)
    chat = sessions.create("chat").id
    for number in range(3):
        _, reply = sessions.begin_turn(chat, f"question {number}")
        sessions.finish_reply(reply.id, f"answer {number}", "complete")
    replies = [message.id for message in sessions.messages(chat) if message.role == "assistant"]
    spoil(database, f"UPDATE messages SET {damage} WHERE id = '{replies[1]}'")
    again = Database(database.path)
    sessions = Sessions(again)
    found = sessions.messages(chat)
    assert [message.damaged for message in found] == [False, False, False, True, False, False]
    assert [message.content for message in found[4:]] == ["question 2", "answer 2"]
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Message]) == found
    assert len(sessions.path(chat, replies[2])) == 6
    sessions.begin_turn(chat, "and now")
    sessions.delete(chat)
    assert Retention(again).purge(0, age=1) == [chat]
    again.close()


def test_settings_that_make_no_sense_are_the_usual_ones(database: Database) -> None:
    DefaultProfile(database).replace(Settings(top_k=3))
    PreferenceBook(database).change("", {"theme": "dark"})
    spoil(database, "UPDATE profile SET settings = '{'; UPDATE preferences SET said = '[]'")
    again = Database(database.path)
    assert DefaultProfile(again).get() == Settings()
    assert PreferenceBook(again).of("").theme is None
    assert DefaultProfile(again).change({"top_k": 5}) == Settings(top_k=5)
    assert PreferenceBook(again).change("", {"theme": "light"}).theme == "light"
    again.close()


def test_a_page_that_cannot_be_read_hides_no_other(database: Database) -> None:
    sessions = Sessions(database)
    for number in range(200):
        sessions.create(f"chat {number} " + "x" * 200)
    database.checkpoint()
    database.close()
    content = bytearray(database.path.read_bytes())
    place = content.find(b"chat 57 ")
    begin = place // 4096 * 4096
    content[begin : begin + 4096] = os.urandom(4096)
    database.path.write_bytes(content)
    again = Database(database.path)
    listed = Sessions(again).list()
    assert 150 < len(listed) < 200
    again.close()


@pytest.mark.parametrize("bad", ["a/b", "import", "..", ".", "what?", "50%", "a#b"])
def test_ids_that_no_address_can_have_are_replaced(database: Database, bad: str) -> None:
    transfer, sessions = ChatImportExport(database), Sessions(database)
    session = Session(bad, "Imported", False, 1, 1, bad, None, None)
    message = Message(bad, bad, None, "user", "hello", "", "complete", None, None, 1, None, None)
    added = transfer.add(session, [message])
    assert added.id != bad and added.leaf_id not in (None, bad)
    assert [found.id for found in sessions.messages(added.id)] == [added.leaf_id]
    with pytest.raises(RequestError) as caught:
        sessions.create(session_id=bad)
    assert caught.value.param == "id"


def test_one_key_that_cannot_be_read_takes_none_along_and_is_kept() -> None:
    keys = [
        Row(Key(id=str(number), name=f"key {number}", prefix="apl_", scope="chat"), b"x" * 32)
        for number in range(3)
    ]
    stored = records.encode(Record(rows=tuple(keys))).replace(b"key 1", b'key 1","later":"')
    found = records.decode(stored)
    assert [row.key.name for row in found.rows] == ["key 0", "key 2"]
    assert len(found.unreadable) == 1
    assert records.decode(records.encode(found)) == found
    changed = msgspec.structs.replace(found, rows=found.rows[:1])
    assert b"key 1" in records.encode(changed)


def test_one_bad_download_hides_no_other(tmp_path: Path) -> None:
    jobs = JobFolder(tmp_path)
    file = RepoFile(path="a.gguf", size=3, blob="0" * 40)
    for number in range(4):
        repo = Repo(id="owner/name", revision="0" * 40, licence="", files=(file,))
        jobs.keep(Job(id=f"job{number}", repo=repo, status="paused", created_at=number))
    folder = tmp_path / ".downloads"
    (folder / "job1" / "job.json").write_bytes(b"\xff{")
    (folder / "job2" / "job.json").unlink()
    (folder / "job2" / "job.json").mkdir()
    (folder / "job4").symlink_to(folder / "job4")
    (folder / "stray").write_text("x")
    assert [job.id for job in jobs.kept()] == ["job0", "job3"]
    assert jobs.unreadable == ("job1", "job2")


def test_one_bad_entry_of_another_program_hides_no_other(tmp_path: Path) -> None:
    names = tmp_path / "manifests" / "registry.ollama.ai" / "library" / "tiny"
    names.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    for tag, digit in (("one", "1"), ("two", "2")):
        (tmp_path / "blobs" / f"sha256-{digit * 64}").write_bytes(b"x")
        layer = {"digest": f"sha256:{digit * 64}", "mediaType": MODEL_LAYER}
        (names / tag).write_bytes(msgspec.json.encode({"layers": [layer]}))
    for tag, content in (("bad", b"\xff"), ("list", b"[]"), ("far", b'{"layers": [{}]}')):
        (names / tag).write_bytes(content)
    (names / "folder").mkdir()
    os.mkfifo(names / "pipe")
    found = [one.name for one in candidates(ModelSource("ollama", tmp_path))]
    assert found == ["tiny:one", "tiny:two"]


def test_one_bad_model_file_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models"
    (folder / "below").mkdir(parents=True)
    for name in ("good.gguf", "sick.gguf", "below/other.gguf"):
        llama().save(folder / name)
    (folder / "torn.gguf").write_bytes((folder / "good.gguf").read_bytes()[:40])
    (folder / "empty.gguf").touch()
    (folder / "letter.gguf").write_text("Dear diary")
    (folder / "folder.gguf").mkdir()
    (folder / "circle").symlink_to(folder)
    (folder / "nowhere.gguf").symlink_to(folder / "gone")
    (folder / "itself.gguf").symlink_to(folder / "itself.gguf")
    os.mkfifo(folder / "pipe.gguf")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket.gguf"))
    index = ModelIndex(
        [ModelSource("folder", tmp_path / "not there"), ModelSource("folder", folder)],
        list,
        memory_needs=lambda _: MemoryNeeds(),
        cache=MetadataCache(None, ""),
    )
    opened = header.open_file  # type: ignore[attr-defined]

    def sick(path: Path) -> object:
        if path.name == "sick.gguf":
            raise OSError(5, "Input/output error")
        return opened(path)

    monkeypatch.setattr(header, "open_file", sick)
    found = {entry.id: entry for entry in index.refresh(at_once=True)}
    listening.close()
    assert {name for name, entry in found.items() if entry.loads} == {"good", "other"}
    assert "Input/output error" in found["sick"].facts.fault
    assert {"torn", "empty", "letter"} <= set(found)
    monkeypatch.setattr(header, "open_file", opened)
    healed = {entry.id for entry in index.refresh(at_once=True) if entry.loads}
    assert healed == {"good", "other", "sick"}
