"""Exporting complete chats, and importing them into another database or the same one."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import Conflict, RequestError, SessionNotFound
from appliance.store.database import Database
from appliance.store.import_export import ChatImportExport
from appliance.store.migrations import migrate
from appliance.store.search import Search
from appliance.store.sessions import Message, Session, SessionChanges, Sessions
from tests.store.conftest import add_message


@pytest.fixture
def transfer(database: Database) -> ChatImportExport:
    return ChatImportExport(database)


def shape(session: Session, messages: Sequence[Message]) -> object:
    """Everything of a chat but its ids."""
    place: dict[str | None, int | None] = {None: None}
    place.update((message.id, number) for number, message in enumerate(messages))
    plain = [
        msgspec.structs.replace(m, id="", session_id="", parent_id=str(place[m.parent_id]))
        for m in messages
    ]
    return msgspec.structs.replace(session, id="", leaf_id=str(place[session.leaf_id])), plain


@given(st.lists(st.tuples(st.integers(0, 99), st.text(st.characters(exclude_categories=["Cs"])))))
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_tree_comes_back(
    sessions: Sessions, transfer: ChatImportExport, picks: list[tuple[int, str]]
) -> None:
    made = sessions.create("tree")
    tree: list[Message] = []
    for pick, text in picks:
        parent = tree[pick % len(tree)].id if tree and pick % 7 else None
        tree.append(add_message(sessions, made.id, parent, "user", text, "complete"))
    if tree:
        sessions.update(made.id, SessionChanges(leaf_id=tree[len(tree) // 2].id, pinned=True))
    out = transfer.read(made.id)
    assert out == (sessions.get(made.id), sessions.messages(made.id))
    added = transfer.add(*out)
    assert added.id != made.id
    assert shape(*transfer.read(added.id)) == shape(*out)
    assert transfer.read(made.id) == out


def test_a_chat_moves_to_another_machine_with_its_ids(
    sessions: Sessions, transfer: ChatImportExport, tmp_path: Path
) -> None:
    made = sessions.create("moves")
    _, reply = sessions.begin_turn(made.id, "a needle")
    sessions.finish_reply(reply.id, "found", "complete", "stop", reasoning="hay")
    elsewhere = Database(tmp_path / "elsewhere.db")
    migrate(elsewhere)
    moved = ChatImportExport(elsewhere).add(*transfer.read(made.id))
    assert ChatImportExport(elsewhere).read(made.id) == transfer.read(made.id)
    assert moved == sessions.get(made.id)
    assert len(Search(elsewhere).find("needle", 9).hits) == 1
    elsewhere.close()


def test_a_deleted_chat_is_not_read_and_its_ids_are_taken(
    sessions: Sessions, transfer: ChatImportExport
) -> None:
    made = sessions.create("gone")
    sessions.begin_turn(made.id, "hello")
    out = transfer.read(made.id)
    sessions.delete(made.id)
    with pytest.raises(SessionNotFound):
        transfer.read(made.id)
    added = transfer.add(*out)
    assert added.id != made.id
    assert sessions.restore(made.id).title == "gone"
    assert {session.id for session in sessions.list()} == {made.id, added.id}


def test_what_does_not_hang_together_is_refused_whole(
    sessions: Sessions, transfer: ChatImportExport, database: Database
) -> None:
    made = sessions.create("tree")
    _, reply = sessions.begin_turn(made.id, "hello")
    sessions.finish_reply(reply.id, "hi", "complete")
    session, (user, reply) = transfer.read(made.id)
    change = msgspec.structs.replace
    for param, changed, messages in [
        ("messages[0].parent_id", session, [reply, user]),
        ("messages[0].parent_id", session, [change(user, parent_id=user.id), reply]),
        ("messages[1].id", session, [user, change(reply, id=user.id)]),
        ("session.leaf_id", change(session, leaf_id="none"), [user, reply]),
        ("session.title", change(session, title="\ud800"), [user, reply]),
        ("messages[1].content", session, [user, change(reply, content="\udfff")]),
        ("messages[0].reasoning", session, [change(user, reasoning="\udfff"), reply]),
    ]:
        with pytest.raises(RequestError) as caught:
            transfer.add(changed, messages)
        assert caught.value.param == param
    assert [one.id for one in sessions.list()] == [made.id]
    with pytest.raises(Conflict):
        ChatImportExport(database, max_sessions=1).add(session, [user, reply])
