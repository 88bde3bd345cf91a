"""Batches on a full disk and past their time; what answers their lines is a stand-in."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import falcon
import msgspec
import pytest

from appliance.api.dialects.openai.batches import runner as module
from appliance.api.dialects.openai.batches.runner import BatchRunner
from appliance.auth.keys.scopes import Caller
from appliance.errors import StoreFull
from appliance.store.callers.batches import BatchBook, BatchLine, BatchState
from appliance.store.database import Database
from appliance.store.migrations import migrate

URL = "/v1/embeddings"
LONG = "words " * 2000
SECONDS = 60


class Answering:
    """Answers each line with its body."""

    def __init__(self) -> None:
        self.answered: list[bytes] = []
        self.first = threading.Event()

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = req.bounded_stream.read()
        assert req.context.caller.name == "me"
        self.answered.append(body)
        resp.media = {"text": LONG, "body": msgspec.json.decode(body)}
        self.first.set()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[BatchBook]:
    database = Database(tmp_path / "chats.db")
    migrate(database)
    yield BatchBook(database)
    database.close()


def added(book: BatchBook, *, created_at: int) -> str:
    state = BatchState(
        id=book.new_id("batch_"),
        endpoint=URL,
        input_file_id="file-x",
        status="in_progress",
        created_at=created_at,
        caller=msgspec.to_builtins(Caller(name="me", address="127.0.0.1")),
        total=3,
    )
    lines = [
        BatchLine(batch_id=state.id, number=it, custom_id=f"line {it}", body=b'{"n":%d}' % it)
        for it in range(3)
    ]
    return book.add_batch("me", state, lines).id


@pytest.fixture
def start(book: BatchBook, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Answering]]:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    made: list[BatchRunner] = []

    def begin() -> Answering:
        runner = BatchRunner(book, threads=2)
        answering = Answering()
        runner.serve({URL: answering})
        made.append(runner)
        runner.start()
        return answering

    yield begin
    for runner in made:
        runner.close()


def ended(book: BatchBook, id: str) -> BatchState:
    deadline = time.monotonic() + SECONDS
    while (found := book.batch("me", id)).status == "in_progress":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_results_wait_for_room_and_are_computed_once(
    book: BatchBook, start: Callable[[], Answering]
) -> None:
    id = added(book, created_at=int(time.time()))
    database = book._database
    with database.write() as connection:
        before = connection.pragma("max_page_count")
        connection.pragma("max_page_count", connection.pragma("page_count"))
    answering = start()
    assert answering.first.wait(SECONDS)
    with pytest.raises(StoreFull):
        book.add_file("me", "a.jsonl", "batch", [LONG.encode()], len(LONG))
    assert book.batch("me", id).completed == 0
    assert book.files("me") == []
    with database.write() as connection:
        connection.pragma("max_page_count", before)
    found = ended(book, id)
    assert (found.status, found.completed) == ("completed", 3)
    assert sorted(answering.answered) == [b'{"n":%d}' % it for it in range(3)]
    assert found.output_file_id
    lines = b"".join(book.content("me", found.output_file_id)).splitlines()
    answers = [msgspec.json.decode(it) for it in lines]
    assert [it["response"]["body"]["body"]["n"] for it in answers] == [0, 1, 2]


def test_what_is_left_after_a_day_expires(book: BatchBook, start: Callable[[], Answering]) -> None:
    id = added(book, created_at=int(time.time()) - 25 * 3600)
    answering = start()
    found = ended(book, id)
    assert (found.status, found.completed, found.failed) == ("expired", 0, 3)
    assert answering.answered == []
    assert found.error_file_id
    lines = b"".join(book.content("me", found.error_file_id)).splitlines()
    errors = [msgspec.json.decode(it)["error"]["code"] for it in lines]
    assert errors == ["batch_expired"] * 3
