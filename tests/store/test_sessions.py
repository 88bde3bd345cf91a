"""Sessions and their trees of messages."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import Conflict, MessageNotFound, RequestError, SessionNotFound
from appliance.store.database import Database
from appliance.store.sessions import ClientId, Message, Session, SessionChanges, Sessions
from tests.store.conftest import Clock, add_message

UNKNOWN = ["", "no-such-id", "\ud800", "ü", "a\0b"]


def add(sessions: Sessions, session_id: str, parent_id: str | None, content: str = "") -> Message:
    return add_message(sessions, session_id, parent_id, "user", content, "complete")


def test_a_new_session_is_empty(sessions: Sessions, clock: Clock) -> None:
    made = sessions.create("Plans")
    assert made == Session(made.id, "Plans", False, clock.now, clock.now, None, None, None)
    assert sessions.get(made.id) == made
    assert sessions.messages(made.id) == []
    assert sessions.create().title == ""


def test_a_session_can_be_given_its_id_once(sessions: Sessions) -> None:
    assert sessions.create(session_id="mine") == sessions.get("mine")
    with pytest.raises(Conflict):
        sessions.create("another", session_id="mine")
    assert sessions.get("mine").title == ""


def test_the_newest_updated_session_comes_first(sessions: Sessions) -> None:
    first, second, third = (sessions.create(title) for title in "abc")
    assert [session.title for session in sessions.list()] == ["c", "b", "a"]
    add(sessions, first.id, None)
    assert [session.title for session in sessions.list()] == ["a", "c", "b"]
    sessions.update(second.id, SessionChanges(title="renaming is no news"))
    assert sessions.list() == [sessions.get(one.id) for one in (first, third, second)]


def test_renaming_changes_the_title_alone(sessions: Sessions) -> None:
    made = sessions.create("old")
    renamed = sessions.update(made.id, SessionChanges(title="new"))
    assert renamed == sessions.get(made.id) == msgspec.structs.replace(made, title="new")


def test_deleting_takes_all_messages_of_that_session_and_no_others(sessions: Sessions) -> None:
    gone, kept = sessions.create(), sessions.create()
    user, reply = sessions.begin_turn(gone.id, "hello")
    other = add(sessions, kept.id, None)
    sessions.delete(gone.id)
    assert sessions.list() == [sessions.get(kept.id)]
    for message in (user, reply):
        with pytest.raises(MessageNotFound):
            sessions.message(message.id)
    assert sessions.messages(kept.id) == [other]


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_unknown_ids_are_not_found(sessions: Sessions, unknown: str) -> None:
    session = sessions.create()
    for call in (
        lambda: sessions.get(unknown),
        lambda: sessions.update(unknown, SessionChanges(title="title")),
        lambda: sessions.delete(unknown),
        lambda: sessions.messages(unknown),
        lambda: sessions.path(unknown, unknown),
        lambda: add(sessions, unknown, None),
        lambda: sessions.begin_turn(unknown, "hello"),
    ):
        with pytest.raises(SessionNotFound):
            call()
    for call in (
        lambda: sessions.message(unknown),
        lambda: sessions.path(session.id, unknown),
        lambda: sessions.finish_reply(unknown, "", "complete"),
    ):
        with pytest.raises(MessageNotFound):
            call()
    assert sessions.list() == [session]


def test_a_message_comes_back_as_it_was_added(sessions: Sessions, clock: Clock) -> None:
    session = sessions.create()
    system = add_message(sessions, session.id, None, "system", "Be brief.", "complete")
    reply = add_message(
        sessions, session.id, system.id, "assistant", "Hi.", "interrupted", "smollm2"
    )
    assert reply == Message(
        id=reply.id,
        session_id=session.id,
        parent_id=system.id,
        role="assistant",
        content="Hi.",
        reasoning="",
        status="interrupted",
        finish_reason=None,
        model="smollm2",
        created_at=clock.now,
        usage=None,
        error=None,
    )
    assert sessions.message(reply.id) == reply
    assert sessions.messages(session.id) == [system, reply]
    assert sessions.get(session.id).leaf_id == reply.id
    assert sessions.get(session.id).updated_at == clock.now


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_a_parent_must_be_there(sessions: Sessions, unknown: str) -> None:
    session = sessions.create()
    with pytest.raises(MessageNotFound) as caught:
        add(sessions, session.id, unknown)
    assert caught.value.param == "parent_id"
    assert sessions.get(session.id) == session


def test_a_parent_must_be_of_the_same_session(sessions: Sessions) -> None:
    here, there = sessions.create(), sessions.create()
    elsewhere = add(sessions, there.id, None)
    for call in (
        lambda: add(sessions, here.id, elsewhere.id),
        lambda: sessions.begin_turn(here.id, "hello", elsewhere.id),
    ):
        with pytest.raises(MessageNotFound) as caught:
            call()
        assert caught.value.param == "parent_id"
    with pytest.raises(MessageNotFound):
        sessions.path(here.id, elsewhere.id)
    assert sessions.messages(here.id) == []


@given(st.lists(st.integers(0, 1_000), max_size=30))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_path_is_the_branch_from_its_root_to_its_leaf(
    sessions: Sessions, picks: list[int]
) -> None:
    session = sessions.create()
    branches: list[list[Message]] = [[]]
    for pick in picks:
        parent = branches[pick % len(branches)]
        parent_id = parent[-1].id if parent else None
        branches.append([*parent, add(sessions, session.id, parent_id, str(pick))])
    for branch in branches[1:]:
        assert sessions.path(session.id, branch[-1].id) == branch
    assert sessions.messages(session.id) == [branch[-1] for branch in branches[1:]]


def test_the_order_of_messages_does_not_depend_on_the_clock(
    sessions: Sessions, clock: Clock
) -> None:
    session = sessions.create()
    made = [add(sessions, session.id, None)]
    for _ in range(5):
        clock.now -= 3_600_000
        made.append(add(sessions, session.id, made[-1].id))
    assert sessions.messages(session.id) == made
    assert sessions.path(session.id, made[-1].id) == made


def test_all_of_it_is_there_after_opening_again(sessions: Sessions, database: Database) -> None:
    session = sessions.create("Plans")
    sessions.begin_turn(session.id, "hello")
    before = sessions.list(), sessions.messages(session.id)
    database.close()
    again = Database(Path(database.path))
    try:
        after = Sessions(again).list(), Sessions(again).messages(session.id)
    finally:
        again.close()
    assert after == before


def test_a_clients_id_names_one_session_for_its_owner(sessions: Sessions) -> None:
    for name in ("plain", "schön / 50% #1?", "x" * 500, "nul\0", "'; DROP TABLE sessions"):
        mine = sessions.create(client=ClientId(name, "key")).id
        theirs = sessions.create(client=ClientId(name, "other")).id
        anybodys = sessions.create(client=ClientId(name)).id if name == "plain" else None
        assert sessions.id_of_client(ClientId(name, "key")) == mine
        assert sessions.id_of_client(ClientId(name, "other")) == theirs
        assert sessions.get(mine).client_id == name
        with pytest.raises(Conflict):
            sessions.create(client=ClientId(name, "key"))
        assert set(sessions.client_ids("key")) >= {name, theirs}
        if anybodys:  # who has no session of that name finds it
            assert sessions.id_of_client(ClientId(name, "third")) == anybodys
    with pytest.raises(SessionNotFound):
        sessions.id_of_client(ClientId("nobody", "key"))
    with pytest.raises(RequestError):
        sessions.create(client=ClientId("half \ud800", "key"))


def test_a_restored_session_gives_up_its_clients_id_if_another_has_it(sessions: Sessions) -> None:
    old = sessions.create(client=ClientId("name")).id
    sessions.delete(old)
    assert sessions.restore(old).client_id == "name"
    sessions.delete(old)
    new = sessions.create(client=ClientId("name")).id
    assert sessions.restore(old).client_id is None
    assert sessions.id_of_client(ClientId("name")) == new
