"""Messages that are edited, removed and put back: nothing else changes, and undo undoes it all."""

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest

from appliance.errors import MessageNotFound, ReplyInProgress, RequestError
from appliance.store.database import Database
from appliance.store.import_export import ChatImportExport
from appliance.store.messages import MessageChanges
from appliance.store.search import Search
from appliance.store.sessions import Message, Sessions
from appliance.store.upkeep.retention import Retention
from tests.store.conftest import Clock
from tests.store.test_deleted import found_in


@pytest.fixture
def changes(database: Database, clock: Clock) -> MessageChanges:
    return MessageChanges(database, clock=clock)


@pytest.fixture
def chat(sessions: Sessions) -> str:
    """A chat of three turns: q0 a0 q1 a1 q2 a2."""
    session = sessions.create("Chat")
    for number in range(3):
        _, reply = sessions.begin_turn(session.id, f"q{number}", model="m")
        sessions.finish_reply(reply.id, f"a{number}", "complete", "stop", reasoning="hm")
    return session.id


def shown(sessions: Sessions, chat: str) -> list[str]:
    """The texts of the branch that is shown."""
    leaf = sessions.get(chat).leaf_id
    return [] if leaf is None else [message.content for message in sessions.path(chat, leaf)]


def named(sessions: Sessions, chat: str, text: str) -> str:
    """The id of the newest message with this text."""
    return next(m.id for m in reversed(sessions.messages(chat)) if m.content == text)


def whole(sessions: Sessions, chat: str) -> tuple[Any, Sequence[Message]]:
    """All that can be seen of a chat."""
    return sessions.get(chat).leaf_id, sessions.messages(chat)


def test_an_edited_reply_is_a_version_of_its_own(
    sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    before = sessions.messages(chat)
    new = changes.edit(chat, named(sessions, chat, "a1"), "better")
    old = sessions.message(named(sessions, chat, "a1"))
    assert (new.parent_id, new.role, new.model) == (old.parent_id, "assistant", "m")
    assert (new.content, new.reasoning, new.status) == ("better", "hm", "complete")
    assert (new.edited, old.edited, new.usage, new.damaged) == (True, False, None, False)
    assert shown(sessions, chat) == ["q0", "a0", "q1", "better"]
    assert sessions.messages(chat) == [*before, new]
    # It is what the next turn follows, and what a continuation goes on with.
    asked, resumed = sessions.resume_reply(chat, new.id, "other")
    assert (asked.content, resumed.content, resumed.edited) == ("q1", "better", True)


def test_what_cannot_be_edited(sessions: Sessions, changes: MessageChanges, chat: str) -> None:
    with pytest.raises(RequestError) as empty:
        changes.edit(chat, named(sessions, chat, "a1"), " \n")
    assert empty.value.param == "content"
    with pytest.raises(RequestError) as half:
        changes.edit(chat, named(sessions, chat, "a1"), "\ud800")
    assert half.value.param == "content"
    with pytest.raises(MessageNotFound):
        changes.edit(sessions.create().id, named(sessions, chat, "a1"), "x")
    system = sessions.create(system="Be kind.")
    with pytest.raises(RequestError):
        changes.edit(system.id, sessions.messages(system.id)[0].id, "x")


@pytest.mark.parametrize(
    ("text", "turn", "left"),
    [
        ("q0", False, ["a0", "q1", "a1", "q2", "a2"]),
        ("a1", False, ["q0", "a0", "q1", "q2", "a2"]),
        ("a2", False, ["q0", "a0", "q1", "a1", "q2"]),
        ("q0", True, ["q1", "a1", "q2", "a2"]),
        ("a1", True, ["q0", "a0", "q2", "a2"]),
        ("q2", True, ["q0", "a0", "q1", "a1"]),
    ],
)
def test_what_follows_a_removed_message_stays(
    sessions: Sessions, changes: MessageChanges, chat: str, text: str, turn: bool, left: list[str]
) -> None:
    before = whole(sessions, chat)
    message_id = named(sessions, chat, text)
    removed = changes.remove(chat, message_id, turn=turn)
    assert shown(sessions, chat) == left
    assert [m.content for m in sessions.messages(chat)] == left
    assert len(removed.message_ids) == 6 - len(left)
    assert (removed.session.leaf_id, removed.session.revision) == (before[0], 1) or text[1] == "2"
    with pytest.raises(MessageNotFound):
        sessions.message(message_id)
    restored = changes.restore(chat, message_id)
    assert restored.revision == 2
    assert whole(sessions, chat) == before
    assert changes.restore(chat, message_id) == restored


def test_one_of_several_versions_goes_with_what_follows_it(
    sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    changes.edit(chat, named(sessions, chat, "a1"), "better")
    before = whole(sessions, chat)
    a1 = named(sessions, chat, "a1")
    removed = changes.remove(chat, a1)
    assert len(removed.message_ids) == 3
    assert [m.content for m in sessions.messages(chat)] == ["q0", "a0", "q1", "better"]
    changes.restore(chat, a1)
    assert whole(sessions, chat)[1] == before[1]
    # The version that is shown: the other one is shown then.
    better = named(sessions, chat, "better")
    changes.remove(chat, better)
    assert shown(sessions, chat) == ["q0", "a0", "q1", "a1", "q2", "a2"]


def test_a_turn_goes_with_all_versions_of_its_reply(
    sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    changes.edit(chat, named(sessions, chat, "a1"), "better")
    changes.remove(chat, named(sessions, chat, "a1"), turn=True)
    assert [m.content for m in sessions.messages(chat)] == ["q0", "a0", "q2", "a2"]


def test_a_chat_of_nothing_has_no_leaf(
    sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    for number in range(3):
        changes.remove(chat, named(sessions, chat, f"a{number}"), turn=True)
    assert whole(sessions, chat) == (None, [])
    sessions.begin_turn(chat, "again")
    assert [m.content for m in sessions.messages(chat)] == ["again", ""]


def test_undone_in_any_order_everything_is_as_it_was(
    sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    changes.edit(chat, named(sessions, chat, "a1"), "better")
    _, reply = sessions.begin_turn(chat, "q3")
    sessions.finish_reply(reply.id, "a3", "complete")
    before = sessions.messages(chat)
    chance = random.Random(7)
    for _ in range(20):
        gone = []
        for _ in range(chance.randrange(1, 6)):
            there = sessions.messages(chat)
            if there:
                message = chance.choice(there)
                changes.remove(chat, message.id, turn=chance.random() < 0.5)
                gone.append(message.id)
        # Every message follows one that is there.
        known: set[str | None] = {None}
        for message in sessions.messages(chat):
            assert message.parent_id in known
            known.add(message.id)
        chance.shuffle(gone)
        for message_id in gone:
            session = changes.restore(chat, message_id)
            assert message_id in [m.id for m in sessions.path(chat, session.leaf_id or "")]
        assert sessions.messages(chat) == before


def test_nothing_changes_while_a_reply_is_written(
    sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    sessions.begin_turn(chat, "q3")
    before = whole(sessions, chat)
    for change in (
        lambda: changes.edit(chat, named(sessions, chat, "a1"), "x"),
        lambda: changes.remove(chat, named(sessions, chat, "a1")),
    ):
        with pytest.raises(ReplyInProgress):
            change()
    assert whole(sessions, chat) == before


def test_undo_leaves_the_reply_being_written_where_it_is(
    sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    a2 = named(sessions, chat, "a2")
    changes.remove(chat, a2)
    _, live = sessions.begin_turn(chat, "q3")
    session = changes.restore(chat, a2)
    assert (session.leaf_id, session.live_message_id) == (live.id, live.id)
    assert shown(sessions, chat) == ["q0", "a0", "q1", "a1", "q2", "q3", ""]
    assert sessions.message(a2).content == "a2"


def test_removed_messages_are_found_and_exported_nowhere(
    database: Database, sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    search = Search(database)
    _, reply = sessions.begin_turn(chat, "Zwetschgendatschi")
    sessions.finish_reply(reply.id, "Zwetschgendatschi it is", "complete")
    assert len(search.find("datschi", 10, 0).hits) == 2
    changes.remove(chat, reply.id)
    assert [hit.role for hit in search.find("datschi", 10, 0).hits] == ["user"]
    _, exported = ChatImportExport(database).read(chat)
    assert reply.id not in [message.id for message in exported]
    changes.restore(chat, reply.id)
    assert len(search.find("datschi", 10, 0).hits) == 2


def test_edited_messages_stay_marked_in_a_copy(
    database: Database, sessions: Sessions, changes: MessageChanges, chat: str
) -> None:
    changes.edit(chat, named(sessions, chat, "a2"), "better")
    transfer = ChatImportExport(database)
    copy = transfer.add(*transfer.read(chat))
    assert [m.content for m in sessions.messages(copy.id) if m.edited] == ["better"]


def test_purged_messages_leave_no_byte(
    database: Database,
    sessions: Sessions,
    changes: MessageChanges,
    retention: Retention,
    chat: str,
) -> None:
    _, reply = sessions.begin_turn(chat, "q3")
    sessions.finish_reply(reply.id, "Quittengelee " * 500, "complete")
    sessions.begin_turn(chat, "q4")
    sessions.interrupt_streaming()
    changes.remove(chat, reply.id)
    assert retention.purge_messages(10, 0) == []
    assert retention.purge_messages(10, 9_000) == []
    changes.restore(chat, reply.id)
    assert retention.purge_messages(10, 20_000) == []
    assert sessions.message(reply.id).content
    changes.remove(chat, reply.id)
    assert retention.purge_messages(10, 30_000) == []  # it ages from when it was seen
    assert retention.purge_messages(10, 40_000) == [chat]
    assert found_in(database.path.parent, ("Quittengelee",)) == {}
    with pytest.raises(MessageNotFound):
        changes.restore(chat, reply.id)
    assert shown(sessions, chat) == ["q0", "a0", "q1", "a1", "q2", "a2", "q3", "q4", ""]


def test_what_is_put_back_after_a_purge_follows_what_is_left(
    database: Database, sessions: Sessions, changes: MessageChanges, retention: Retention
) -> None:
    """Every order of removing three neighbours, the first of which is purged."""
    for order in itertools.permutations(["a0", "q1", "a1"]):
        session = sessions.create()
        for number in range(3):
            _, reply = sessions.begin_turn(session.id, f"q{number}")
            sessions.finish_reply(reply.id, f"a{number}", "complete")
        ids = [named(sessions, session.id, text) for text in order]
        age = 1_000_000
        changes.remove(session.id, ids[0])
        retention.purge_messages(10, age)
        changes.remove(session.id, ids[1])
        changes.remove(session.id, ids[2])
        assert retention.purge_messages(10, age + 11_000) == [session.id]
        for message_id in ids[1:]:
            changes.restore(session.id, message_id)
        left = [t for t in ("q0", "a0", "q1", "a1", "q2", "a2") if t != order[0]]
        assert shown(sessions, session.id) == left
        retention.purge_messages(0, age + 99_000)
