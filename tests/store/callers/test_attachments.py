"""Attachments in the database: whose they are, found, exported, deleted without a trace."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.errors import Conflict, NotFound, RequestError, StoreFull
from appliance.store.callers.attachments import (
    MOST_UNSENT,
    PIECE,
    AttachedContent,
    AttachmentBook,
    clean_name,
    importing,
    pieces,
)
from appliance.store.copies.backup import back_up
from appliance.store.copies.salvage import salvage
from appliance.store.database import Database
from appliance.store.import_export import ChatImportExport
from appliance.store.records import Attachment, Message
from appliance.store.search import Search
from appliance.store.sessions import Sessions
from appliance.store.upkeep.retention import Retention
from tests.store.test_deleted import found_in

ADA, BOB = "key ada", "key bob"
WORD = "Zwetschgendatschi"


@pytest.fixture
def book(database: Database) -> AttachmentBook:
    return AttachmentBook(database)


def upload(
    book: AttachmentBook, text: str = "some text", name: str = "a.txt", owner: str = ADA
) -> Attachment:
    """A file that was uploaded and read."""
    content = text.encode()
    id = book.begin(owner, name, len(content)).id
    book.append(owner, id, 0, content)
    return book.finish(owner, id, content, ("text", text, len(text), None))


def send(sessions: Sessions, *ids: str, owner: str = ADA, words: str = "Look") -> Message:
    """A message with attachments, in a chat of its own."""
    session = sessions.create()
    user, reply = sessions.begin_turn(session.id, words, attachments=ids, owner=owner)
    sessions.finish_reply(reply.id, "Fine.", "complete")
    return user


def count(database: Database, table: str) -> int:
    with database.read() as connection:
        rows = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(str(rows[0][0]))


def test_what_was_not_sent_is_its_owners_alone(book: AttachmentBook, sessions: Sessions) -> None:
    file = upload(book)
    assert book.get(ADA, file.id) == file
    for read in (book.get, book.text, book.content, book.remove):
        with pytest.raises(NotFound):
            read(BOB, file.id)
    with pytest.raises(NotFound):
        send(sessions, file.id, owner=BOB)
    assert send(sessions, file.id).attachments == (file,)
    assert book.text(BOB, file.id) == "some text"  # like the message that has it


def test_one_content_is_stored_once_for_an_owner_and_apart_for_another(
    database: Database, book: AttachmentBook, sessions: Sessions
) -> None:
    first, second = upload(book), upload(book, name="b.txt")
    assert count(database, "attached_files") == 1
    other = upload(book, owner=BOB)
    assert count(database, "attached_files") == 2
    message = send(sessions, first.id)
    book.remove(ADA, second.id)
    assert book.text(ADA, first.id) == "some text"
    book.remove(BOB, other.id)
    assert count(database, "attached_files") == 1
    sessions.delete(message.session_id)
    Retention(database).purge(0, age=1)
    for table in ("attachments", "attached_files", "attached_chunks", "attached_texts"):
        assert count(database, table) == 0


def test_files_are_in_the_order_in_which_they_are_sent(
    book: AttachmentBook, sessions: Sessions
) -> None:
    files = [upload(book, f"text {number}", f"{number}.txt") for number in range(4)]
    sent = send(sessions, *(it.id for it in reversed(files)))
    assert [it.name for it in sent.attachments] == ["3.txt", "2.txt", "1.txt", "0.txt"]
    assert sessions.messages(sent.session_id)[0] == sent


def test_no_byte_of_an_attachment_is_left(
    database: Database, book: AttachmentBook, sessions: Sessions
) -> None:
    folder = database.path.parent
    kept = send(sessions, upload(book, "something else " * 5000).id)
    message = send(sessions, upload(book, f"{WORD} and more\n" * 50_000, f"{WORD}.txt").id)
    unsent = upload(book, f"{WORD} once more " * 999)
    database.checkpoint()
    assert found_in(folder, (WORD,))
    book.remove(ADA, unsent.id)
    sessions.delete(message.session_id)
    Retention(database).purge(0, age=1)
    assert found_in(folder, (WORD,)) == {}
    back_up(database.path, folder / "copy.db")
    assert found_in(folder, (WORD,)) == {}
    assert book.text(ADA, kept.attachments[0].id) == "something else " * 5000
    with database.read() as connection:
        rows = connection.execute("SELECT block FROM attached_search_data").fetchall()
    assert all(b"zwe" not in bytes(block) for (block,) in rows)  # type: ignore[arg-type]


def test_what_is_not_sent_expires_after_a_day_that_the_appliance_ran(
    database: Database, book: AttachmentBook, sessions: Sessions
) -> None:
    day = 24 * 3600 * 1000
    sent = send(sessions, upload(book, "sent").id).attachments[0]
    file = upload(book)
    begun = book.begin(ADA, "half.txt", 100)
    book.append(ADA, begun.id, 0, b"half")
    book.expire(10 * day)  # seen for the first time
    assert book.get(ADA, file.id) == file
    book.expire(11 * day)
    for id in (file.id, begun.id):
        with pytest.raises(NotFound):
            book.get(ADA, id)
    assert book.text(ADA, sent.id) == "sent"
    assert count(database, "attached_files") == 1


def test_files_are_found_by_their_text_and_their_name(
    database: Database, book: AttachmentBook, sessions: Sessions
) -> None:
    long = "".join(f"Chapter {number} is about nothing.\n" for number in range(5000))
    text = f"{long}Here lies the {WORD}, {WORD} again.\n{long}"
    sent = send(sessions, upload(book, text, "Größen.txt").id)
    upload(book, f"not sent: {WORD}")
    (hit,) = Search(database).find(f"{WORD.lower()} lies", 10).hits
    assert (hit.message_id, hit.attachment) == (sent.id, "Größen.txt")
    assert [it.text for it in hit.snippet if it.hit] == ["lies", WORD, WORD]
    (hit,) = Search(database).find("größen", 10).hits
    assert hit.attachment == "Größen.txt"
    assert Search(database).find("zz", 10).hits == []
    sessions.delete(sent.session_id)
    assert Search(database).find(WORD, 10).hits == []


def test_hits_come_page_by_page(
    database: Database, book: AttachmentBook, sessions: Sessions
) -> None:
    for number in range(3):
        send(sessions, upload(book, f"{number}: {WORD}", f"{number}.txt").id, words=WORD)
    search = Search(database)
    every = search.find(WORD, 50).hits
    assert [it.attachment for it in every[-3:]] == ["2.txt", "1.txt", "0.txt"]
    paged = [search.find(WORD, 1, offset).hits[0] for offset in range(len(every))]
    assert paged == every
    assert not search.find(WORD, 1, len(every) - 1).more


def test_a_chat_moves_with_its_files(
    database: Database, book: AttachmentBook, sessions: Sessions
) -> None:
    sent = send(sessions, upload(book, "one", "1.txt").id, upload(book, "two", "2.txt").id)
    transfer = ChatImportExport(database)
    session, messages = transfer.read(sent.session_id)
    found = book.contents(sent.attachments)
    attached = {sent.id: [found[it.id] for it in sent.attachments]}
    added = transfer.add(session, messages, importing(BOB, attached))
    copy = sessions.messages(added.id)[0]
    assert [it.name for it in copy.attachments] == ["1.txt", "2.txt"]
    assert [book.content(BOB, it.id) for it in copy.attachments] == [b"one", b"two"]
    assert book.text(BOB, copy.attachments[1].id) == "two"


@pytest.mark.parametrize(
    "bad", [{"text": "\ud800"}, {"text": "x" * (50 * 2**20 + 1)}, {"content": b"x" * 52_428_801}]
)
def test_what_can_not_be_imported_leaves_nothing(bad: dict[str, object]) -> None:
    fields = {"name": "a", "kind": "text", "pages": None, "characters": 1, "shown": None}
    made = AttachedContent(**{**fields, "text": "x", "content": None, **bad})  # type: ignore[arg-type]
    with pytest.raises(RequestError):
        importing(ADA, {"m": [made]})


def test_limits(database: Database, book: AttachmentBook) -> None:
    with pytest.raises(StoreFull, match=r"no room for a\.txt"):
        AttachmentBook(database, free=lambda: 70_000_000).begin(ADA, "a.txt", 10_000_000)
    for _ in range(MOST_UNSENT):
        book.begin(ADA, "a.txt", 1)
    with pytest.raises(Conflict):
        book.begin(ADA, "a.txt", 1)
    book.begin(BOB, "a.txt", 1)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("C:\\Users\\ada\\notes.txt", "notes.txt"),
        ("../../etc/passwd", "passwd"),
        ('a">\n<b>.txt', "a b .txt"),
        ("\u202etxt.exe", "txt.exe"),
        ("\ud800.txt", "?.txt"),
        ("", "file"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt"),
    ],
)
def test_names_are_harmless_in_a_line(given: str, kept: str) -> None:
    assert clean_name(given) == kept


@pytest.mark.parametrize(
    "text", ["", "x" * 100_001, "word " * 30_000, "line\n" * 30_000, "a\n" + "é" * 90_000]
)
def test_pieces_are_the_text(text: str, tmp_path: Path) -> None:
    found: Sequence[str] = list(pieces(text))
    assert "".join(found) == text
    assert all(0 < len(piece) <= PIECE for piece in found)


def test_they_are_in_backups_and_in_what_is_salvaged(
    database: Database, book: AttachmentBook, sessions: Sessions, tmp_path: Path
) -> None:
    text = "".join(f"Line {number} of a list.\n" for number in range(9000))
    sent = send(sessions, upload(book, text).id, upload(book, "short").id)
    upload(book, "not sent")
    copies = [tmp_path / "backup.db", tmp_path / "salvaged.db"]
    back_up(database.path, copies[0])
    database.close()
    assert salvage(database.path, copies[1]).missing == 0
    for copy in copies:
        opened = Database(copy)
        try:
            found = Sessions(opened).message(sent.id)
            assert found == sent
            kept = AttachmentBook(opened)
            assert [kept.text(BOB, it.id) for it in found.attachments] == [text, "short"]
            assert kept.content(BOB, found.attachments[0].id) == text.encode()
            assert len(Search(opened).find("8765 list", 10).hits) == 1
        finally:
            opened.close()
    content = bytearray(database.path.read_bytes())
    at = content.index(b"Line 8765")
    content[at - at % 4096 : at - at % 4096 + 4096] = bytes(4096)
    (tmp_path / "damaged.db").write_bytes(content)
    salvage(tmp_path / "damaged.db", tmp_path / "rest.db")
    opened = Database(tmp_path / "rest.db")
    try:
        (left,) = Sessions(opened).message(sent.id).attachments
        assert AttachmentBook(opened).text(BOB, left.id) == "short"
    finally:
        opened.close()
