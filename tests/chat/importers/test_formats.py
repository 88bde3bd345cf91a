"""Chats of other programs keep their texts, branches, thoughts, times, titles and ids."""

import io
import json
import random
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from appliance.chat.importers import ours
from appliance.chat.importers.chats import ImportedChat, Node, make_chat
from appliance.chat.importers.files import Found, Problem, Skipped, read_file, read_path
from appliance.chat.importers.importer import ImportReport, add_chat, import_chats
from appliance.store.database import Database
from appliance.store.import_export import ChatImportExport
from appliance.store.migrations import migrate
from appliance.store.sessions import ClientId, Message, Sessions
from tests.chat.importers import samples
from tests.chat.importers.samples import ANSWER, OTHER, QUESTION


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "chats.db")
    migrate(database)
    yield database
    database.close()


def stored(database: Database, found: Any) -> ImportReport:
    transfer = ChatImportExport(database)
    return import_chats(found, lambda chat: add_chat(transfer, chat))


def read_data(name: str, data: bytes) -> Iterator[Found]:
    return read_file(name, io.BytesIO(data))


def chats(found: Iterator[Found]) -> list[ImportedChat]:
    return [one for one in found if isinstance(one, ImportedChat)]


def shown(database: Database, id: str) -> Sequence[Message]:
    sessions = Sessions(database)
    leaf = sessions.get(id).leaf_id
    assert leaf
    return sessions.path(id, leaf)


@pytest.mark.parametrize(
    ("document", "origin", "system", "thought", "others"),
    [
        (samples.original_export(), "original", True, False, False),
        (samples.chatgpt()[:1], "chatgpt", False, True, True),
        (samples.claude(), "claude", False, True, False),
        (samples.open_webui(), "open-webui", True, True, True),
        (samples.lm_studio(), "lm-studio", True, True, True),
        (samples.librechat(nested=False), "librechat", True, True, True),
        (samples.librechat(nested=True), "librechat", True, True, True),
    ],
)
def test_a_chat_comes_whole(
    database: Database, document: Any, origin: str, system: bool, thought: bool, others: bool
) -> None:
    (chat,) = chats(read_data("chats.json", samples.text(document)))
    assert chat.origin == origin
    report = stored(database, [chat])
    (made,) = report.imported
    sessions = Sessions(database)
    session = sessions.get(made.id)
    asked, answer = shown(database, made.id)
    assert (asked.role, answer.role) == ("user", "assistant")
    assert asked.content.startswith(QUESTION)
    assert answer.content == ANSWER
    assert answer.reasoning == ("Hm." if thought else "")
    assert [m.content for m in sessions.messages(made.id)].count(OTHER) == others
    assert session.title == ("Bread" if origin != "original" else QUESTION)
    assert session.created_at > 1_600_000_000_000
    prompt = session.settings.system_prompt if session.settings else None
    assert prompt == ("Be brief." if system else None)
    # Once more: it is here already.
    again = stored(database, read_data("chats.json", samples.text(document)))
    assert (again.imported, again.already_here, again.failed) == ([], 1, [])


def test_ids_are_kept(database: Database) -> None:
    stored(database, read_data("c.json", samples.text(samples.chatgpt())))
    stored(database, read_data("s.json", samples.text(samples.original_json())))
    stored(database, read_data("e.json", samples.text(samples.original_export())))
    sessions = Sessions(database)
    assert sessions.get("6789abcd-0000-4000-8000-000000000002").title == "Bread"
    assert sessions.message("a2").content == ANSWER
    assert sessions.get("3f1c7d5e-0000-4000-8000-000000000001").title == QUESTION
    for name in samples.original_json():
        id = sessions.id_of_client(ClientId(name))
        assert sessions.get(id).client_id == name
        assert shown(database, id)[-1].content in (QUESTION, ANSWER)


def test_the_settings_of_the_original_page_are_kept(database: Database) -> None:
    found = read_data("e.json", samples.text(samples.original_export()))
    (made,) = stored(database, found).imported
    settings = Sessions(database).get(made.id).settings
    assert settings
    assert (settings.temperature, settings.top_p, settings.max_tokens) == (0.5, 0.9, 256)
    assert settings.top_k is None  # -1 is no number of tokens
    assert settings.stop == ("END",)


def test_its_database_is_read_with_what_is_in_its_log_and_stays_as_it_is(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "theirs" / "sessions.db"
    file.parent.mkdir()
    theirs = apsw.Connection(str(file))
    theirs.execute("PRAGMA journal_mode = wal")
    theirs.execute("CREATE TABLE sessions (session_id TEXT PRIMARY KEY, history TEXT NOT NULL)")
    for name, history in samples.original_json().items():
        theirs.execute("INSERT INTO sessions VALUES (?, ?)", (name, json.dumps(history)))
    theirs.execute("INSERT INTO sessions VALUES ('bad', '{not JSON')")
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    report = stored(database, read_path(file))
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before
    theirs.close()
    assert len(report.imported) == 2
    assert [problem.file for problem in report.failed] == ["sessions.db"]
    assert "'bad'" in report.failed[0].reason


def test_a_folder_and_an_archive_are_read_file_by_file(database: Database, tmp_path: Path) -> None:
    files = {
        "export/conversations.json": samples.text(samples.chatgpt()),
        "export/user.json": samples.text({"id": "me"}),
        "export/chat.html": b"<html>",
        "jan/threads/1/messages.jsonl": samples.jan_messages(),
        "jan/threads/1/thread.json": samples.text(samples.jan_thread()),
        "half.json": samples.text(samples.claude())[:-5],
        "lm.conversation.json": b"\xef\xbb\xbf" + samples.text(samples.lm_studio()),
    }
    for name, data in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)

    report = stored(database, read_path(tmp_path / "folder"))
    # Of three conversations one is broken, and the third has ids of messages that are taken.
    assert len(report.imported) == 4
    assert sorted(report.skipped) == ["export/user.json", "jan/threads/1/thread.json"]
    assert [problem.file for problem in report.failed] == ["export/conversations.json", "half.json"]
    assert "'Broken'" in report.failed[0].reason
    jan = Sessions(database).get("jan-thread")
    assert (jan.title, jan.settings and jan.settings.system_prompt) == ("Bread", "Be brief.")

    again = stored(database, read_data("all.zip", packed.getvalue()))
    assert (again.imported, again.already_here) == ([], 4)
    assert [problem.file for problem in again.failed] == [
        "all.zip: export/conversations.json",
        "all.zip: half.json",
    ]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"no JSON", b"[]", b"{}", b"7", b"null", b'{"a":' * 5000, b"[" * 100_000),
        *(b"PK\x03\x04 and nothing", b"SQLite format 3\x00 and nothing", b"\xff\xfe\x00"),
        *(b'[{"mapping":{}}, 7, {"mapping":[]}]', b'{"messages":[{"versions":[]}]}'),
        *(b'{"conversationId":{},"messages":[{"messageId":[]}]}', b'{"x":[{"role":"user"}]}'),
        b'{"format":"appliance.chat","version":9}',
        b'{"format":"appliance.chat","version":1,"session":{"id":7}}',
    ],
)
def test_a_bad_file_is_named_and_nothing_else_happens(database: Database, data: bytes) -> None:
    report = stored(database, read_data("bad.json", data))
    named = {problem.file for problem in report.failed}
    assert named == {"bad.json"} or (report.imported and not report.failed)


def test_messages_that_are_no_list_are_named(database: Database) -> None:
    chat = make_chat("test", [Node(id="1", parent=None, role="user", content="x")], id="x")
    document = {**ours.write(chat), "messages": 5}
    report = stored(database, read_data("bad.json", json.dumps(document).encode()))
    assert [problem.file for problem in report.failed] == ["bad.json"]


def test_half_surrogate_pairs_and_controls_are_stored_as_escapes(database: Database) -> None:
    data = rb'{"one":[{"role":"user","content":"half \ud83d of it"}]}'
    (made,) = stored(database, read_data("s.json", data)).imported
    assert shown(database, made.id)[0].content == "half \\ud83d of it"


def test_any_tree_is_stored_whatever_its_order() -> None:
    """Circles, missing parents, duplicates, and messages without a text between others."""
    draw = random.Random(1)
    for _ in range(500):
        names = [f"n{number}" for number in range(draw.randrange(1, 12))]
        nodes = [
            Node(
                id=draw.choice(names),
                parent=draw.choice([None, "nobody", *names]),
                role=draw.choice(["user", "assistant", "system", "tool"]),
                content=draw.choice(["", " ", "words"]),
                reasoning=draw.choice(["", "thought"]),
            )
            for _ in names
        ]
        chat = make_chat("test", nodes, id="x y", leaf=draw.choice([None, "?", *names]))
        known: set[str | None] = {None}
        for message in chat.messages:
            assert message.parent_id in known
            assert message.id not in known
            known.add(message.id)
        assert chat.session.leaf_id in known
        assert " " not in chat.session.id


def test_a_long_chain_and_a_wide_tree_take_no_recursion() -> None:
    nodes = [
        Node(id=str(n), parent=str(n - 1) if n % 2 else "0", role="user", content="x")
        for n in range(20_000)
    ]
    assert len(make_chat("test", nodes, id="i").messages) == 20_000


def test_only_a_file_that_was_named_must_have_chats() -> None:
    (one,) = read_data("named.json", b'{"id": "me"}')
    assert isinstance(one, Problem)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("user.json", '{"id": "me"}')
        archive.writestr("picture.png", b"\x89PNG")
    (one,) = read_data("all.zip", packed.getvalue())
    assert one == Skipped("all.zip: user.json")


def test_an_archive_that_would_fill_the_memory_is_refused(database: Database) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            with archive.open(f"{number}.json", "w", force_zip64=True) as file:
                for _ in range(48):
                    file.write(b" " * 1024**2)
    assert len(packed.getvalue()) < 1024**2
    report = stored(database, read_data("bomb.zip", packed.getvalue()))
    (problem,) = report.failed
    assert "bytes together" in problem.reason


def test_an_archive_in_an_archive_is_not_opened() -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b" " * 1_000_000)
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("b.json", inner.getvalue())
        archive.writestr("c.json", samples.text(samples.claude()))
    problem, *others = read_data("all.zip", outer.getvalue())
    assert isinstance(problem, Problem)
    assert "archive in an archive" in problem.reason
    assert all(isinstance(one, ImportedChat) for one in others)
    assert others


@pytest.mark.parametrize("cut", [30, 200, -40])
def test_a_damaged_archive_is_named(cut: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("c.json", samples.text(samples.claude()))
    data = bytearray(packed.getvalue())
    data[60:-100] = bytes(len(data) - 160)
    for damaged in (bytes(data), packed.getvalue()[:cut]):
        found = list(read_data("all.zip", damaged))
        assert all(isinstance(one, Problem) for one in found)
        assert found
