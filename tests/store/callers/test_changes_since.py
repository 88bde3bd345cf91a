"""The list of chats, by pages and by what has changed."""

from collections.abc import Callable

import pytest

from appliance.errors import MessageNotFound, SessionNotFound
from appliance.store.database import Database
from appliance.store.sessions import Message, Session, SessionChanges, Sessions
from appliance.store.upkeep.retention import Retention
from tests.store.conftest import Clock


def answered(sessions: Sessions, session_id: str) -> None:
    _, reply = sessions.begin_turn(session_id, "hello")
    sessions.finish_reply(reply.id, "hi", "complete")


def test_pages_are_the_list(sessions: Sessions) -> None:
    ids = [sessions.create(f"chat {number}").id for number in range(25)]
    for number in (3, 7, 19):
        sessions.update(ids[number], SessionChanges(pinned=True))
    found: list[Session] = []
    after = None
    while True:
        page = sessions.page(7, after)
        assert page.whole and len(page.sessions) <= 7
        found += page.sessions
        if not page.more:
            break
        after = page.sessions[-1].id
    assert found == sessions.list()


def test_a_page_after_a_chat_that_moved_or_was_deleted_leaves_nothing_out(
    sessions: Sessions,
) -> None:
    ids = [sessions.create(f"chat {number}").id for number in range(9)]
    first = sessions.page(3)
    revision, last = first.revision, first.sessions[-1].id
    sessions.delete(last)
    rest = sessions.page(100, last).sessions
    assert {session.id for session in [*first.sessions, *rest]} == set(ids)
    assert sessions.changes(revision, 100).gone == [last]
    with pytest.raises(SessionNotFound) as refused:
        sessions.page(3, "nowhere")
    assert refused.value.param == "after"


CHANGES: dict[str, Callable[[Sessions, str], object]] = {
    "title": lambda sessions, id: sessions.update(id, SessionChanges(title="other")),
    "pin": lambda sessions, id: sessions.update(id, SessionChanges(pinned=True)),
    "settings": lambda sessions, id: sessions.update(id, SessionChanges(settings={"top_k": 3})),
    "turn": lambda sessions, id: sessions.begin_turn(id, "hello"),
    "reply": answered,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_only_what_changed_is_given(
    sessions: Sessions, change: Callable[[Sessions, str], object]
) -> None:
    ids = [sessions.create(f"chat {number}").id for number in range(5)]
    before = sessions.page(100).revision
    assert sessions.changes(before, 100).sessions == []
    change(sessions, ids[2])
    news = sessions.changes(before, 100)
    assert not news.whole
    assert list(news.sessions) == [sessions.get(ids[2])]
    assert sessions.changes(news.revision, 100).sessions == []


def test_deleting_restoring_and_purging_are_changes(
    sessions: Sessions, retention: Retention
) -> None:
    kept, doomed = sessions.create("kept").id, sessions.create("doomed").id
    seen = sessions.page(100).revision
    sessions.delete(doomed)
    assert sessions.changes(seen, 100).gone == [doomed]
    sessions.restore(doomed)
    assert [one.id for one in sessions.changes(seen, 100).sessions] == [doomed]
    sessions.delete(doomed)
    assert retention.purge_now() == [doomed]
    news = sessions.changes(seen, 100)
    assert (list(news.sessions), list(news.gone)) == ([], [doomed])
    assert [one.id for one in sessions.list()] == [kept]


def test_an_unknown_revision_gets_the_whole_list(database: Database, sessions: Sessions) -> None:
    sessions.create("one")
    old = sessions.page(100).revision
    for unknown in ("", "1", "x-1", f"{old}0000000000000000000000", old.partition("-")[0] + "-²"):
        assert sessions.changes(unknown, 100).whole, unknown
    assert Sessions(database, Clock()).changes(old, 100).whole, "of another start"
    sessions.create("two")
    sessions.forget_changes()
    news = sessions.changes(old, 100)
    assert news.whole and len(news.sessions) == 2
    assert not sessions.changes(news.revision, 100).whole


def test_messages_by_pages_are_all_messages(sessions: Sessions) -> None:
    session = sessions.create().id
    for _ in range(6):
        answered(sessions, session)
    first, _ = sessions.begin_turn(session, "otherwise", None)
    found: list[Message] = []
    before = None
    while True:
        page, more = sessions.some_messages(session, 5, before)
        found = [*page, *found]
        if not more:
            break
        before = page[0].id
    assert found == sessions.messages(session)
    assert not any(message.damaged for message in found)
    other = sessions.create().id
    with pytest.raises(MessageNotFound) as refused:
        sessions.some_messages(other, 5, first.id)
    assert refused.value.param == "before"
    with pytest.raises(SessionNotFound):
        sessions.some_messages("nowhere", 5)


def test_what_was_deleted_is_listed_and_can_be_removed_for_good(
    sessions: Sessions, retention: Retention
) -> None:
    ids = [sessions.create(f"chat {number}").id for number in range(4)]
    for one in ids[:3]:
        sessions.delete(one)
    assert [chat.id for chat in retention.deleted(10)] == ids[2::-1]
    assert [chat.title for chat in retention.deleted(1)] == ["chat 2"]
    assert retention.purge_now([ids[0], ids[3], "nowhere"]) == [ids[0]], "only what was deleted"
    assert [chat.id for chat in retention.deleted(10)] == [ids[2], ids[1]]
    assert set(retention.purge_now()) == {ids[1], ids[2]}
    assert [session.id for session in sessions.list()] == [ids[3]]
