"""The thread that stores replies."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from appliance.chat.events import ReplyEnded
from appliance.chat.reply_writer import STORE_INTERVAL, ReplyWriter
from appliance.chat.turns import ReplyRequest, Turns
from appliance.engine.protocol import Accepted, Delta, Failed
from appliance.engine.types import SamplingParams
from appliance.errors import ShuttingDown, StoreFull
from appliance.store.database import Database
from appliance.store.migrations import migrate
from appliance.store.sessions import Message
from appliance.store.sessions import Sessions as Store
from tests.waiting import wait_until


def message(id: str) -> Message:
    return Mock(spec=Message, id=id, session_id=f"of {id}", content="", reasoning="")


def test_growing_replies_are_stored_while_others_end_all_the_time() -> None:
    grown = threading.Event()
    store = Mock(spec=Store)
    store.grow_replies.side_effect = lambda _replies: grown.set()
    replies = ReplyWriter(store)
    replies.begin(message("question"), message("growing"))
    ending = threading.Event()

    def end_another(live: object) -> bool:
        """Takes so long that the next reply has ended as well."""
        time.sleep(0.01)
        if not ending.is_set():
            replies._ended.put(Mock())
        return True

    replies._finish = end_another  # type: ignore[method-assign]
    replies._ended.put(Mock())
    replies.start()
    try:
        assert grown.wait(20 * STORE_INTERVAL)
    finally:
        ending.set()
        replies.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "appliance.db")
    migrate(opened)
    yield opened
    opened.close()


def set_full(database: Database, full: bool) -> None:
    with database.write() as connection:
        pages = connection.pragma("page_count") if full else 2**30
        connection.pragma("max_page_count", pages)


def test_a_session_whose_reply_cannot_be_saved_says_why_and_goes_on_once_it_can(
    database: Database,
) -> None:
    sessions = Store(database)
    replies = ReplyWriter(sessions)
    turns = Turns(
        sessions,
        replies,
        max_prompt_length=1000,
        on_delete=lambda: None,
    )
    replies.start()
    session = sessions.create().id
    live = replies.begin(*sessions.begin_turn(session, "What is bread?"))
    follower = live.follow(0)
    live.on_event(Accepted(1, prompt_tokens=3, n_ctx=100, seed=1))
    live.on_event(Delta(1, "words " * 5000, 5000))
    set_full(database, True)
    live.on_event(Failed(1, "worker_died", "It ended."))
    wait_until(lambda: any(isinstance(e, ReplyEnded) for e in follower.take()), "it did not end")

    def refuse(_request: object, _sink: object) -> Callable[[], None]:
        raise ShuttingDown

    request = ReplyRequest(model="m", submit=refuse, sampling=SamplingParams())
    with pytest.raises(StoreFull):
        turns.begin(session, request, "And cheese?")
    with pytest.raises(StoreFull):
        turns.regenerate(session, live.reply.id, request)
    with pytest.raises(StoreFull):
        turns.continue_reply(session, live.reply.id, request)
    set_full(database, False)
    # At once, without waiting for the writer's next attempt.
    with pytest.raises(ShuttingDown):
        turns.begin(session, request, "And cheese?")
    stored = sessions.message(live.reply.id)
    assert (stored.status, stored.content) == ("interrupted", "words " * 5000)
    replies.close()


def test_the_wal_is_emptied_when_the_last_reply_has_ended(database: Database) -> None:
    sessions = Store(database)
    replies = ReplyWriter(sessions, database.checkpoint)
    replies.start()
    first = replies.begin(*sessions.begin_turn(sessions.create().id, "one"))
    second = replies.begin(*sessions.begin_turn(sessions.create().id, "two"))
    wal = database.path.with_name(f"{database.path.name}-wal")
    first.on_event(Failed(1, "worker_died", "It ended."))
    assert first.wait_over(60)
    assert wal.stat().st_size > 0
    second.on_event(Failed(2, "worker_died", "It ended."))
    wait_until(lambda: wal.stat().st_size == 0, "the WAL is not empty")
    replies.close()
