"""Changes of a chat: pin, branch, settings, deletion and undo."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from appliance.errors import (
    Conflict,
    MessageNotFound,
    ReplyInProgress,
    RequestError,
    SessionNotFound,
    TooManySessions,
)
from appliance.store.database import Database
from appliance.store.sessions import Message, MessageUsage, SessionChanges, Sessions, Settings
from appliance.store.settings import DefaultProfile
from appliance.store.upkeep.retention import Retention
from tests.store.conftest import Clock, add_message

USAGE = MessageUsage(
    prompt_tokens=40,
    cached_tokens=32,
    cached_from="disk",
    completion_tokens=7,
    dropped_messages=0,
    queued_seconds=0.5,
    prefill_seconds=0.25,
    decode_seconds=1.5,
    seed=1,
    context_tokens=47,
    n_ctx=2048,
)


def ended(sessions: Sessions, session_id: str, content: str = "hello") -> Message:
    _, reply = sessions.begin_turn(session_id, content)
    return sessions.finish_reply(reply.id, "hi", "complete", "stop")


def test_pinned_sessions_come_first_and_keep_their_time(sessions: Sessions) -> None:
    first, second, third = (sessions.create(title) for title in "abc")
    pinned = sessions.update(first.id, SessionChanges(pinned=True))
    assert pinned == msgspec.structs.replace(first, pinned=True)
    assert sessions.list() == [pinned, third, second]
    sessions.update(second.id, SessionChanges(pinned=True))
    assert [session.title for session in sessions.list()] == ["b", "a", "c"]
    sessions.update(first.id, SessionChanges(pinned=False))
    assert [session.title for session in sessions.list()] == ["b", "c", "a"]


def test_another_leaf_is_where_the_chat_goes_on(sessions: Sessions) -> None:
    session = sessions.create()
    first = ended(sessions, session.id, "one")
    ended(sessions, session.id, "two")
    switched = sessions.update(session.id, SessionChanges(leaf_id=first.id))
    assert switched.leaf_id == first.id
    user, reply = sessions.begin_turn(session.id, "two, otherwise")
    assert user.parent_id == first.id
    sessions.finish_reply(reply.id, "", "complete")
    sessions.update(session.id, SessionChanges(leaf_id=None))
    assert sessions.begin_turn(session.id, "from the start")[0].parent_id is None


def test_a_leaf_must_be_of_the_session(sessions: Sessions) -> None:
    here, there = sessions.create(), sessions.create()
    other = ended(sessions, there.id)
    for leaf in (other.id, "none", "\ud800"):
        with pytest.raises(MessageNotFound) as caught:
            sessions.update(here.id, SessionChanges(leaf_id=leaf, title="new"))
        assert caught.value.param == "leaf_id"
    assert sessions.get(here.id) == here


def test_settings_are_changed_field_by_field(sessions: Sessions) -> None:
    session = sessions.create(settings=Settings(temperature=0.5, stop=("a", "b")))
    assert session.settings == Settings(temperature=0.5, stop=("a", "b"))
    changed = sessions.update(
        session.id, SessionChanges(settings={"top_k": 0, "temperature": None})
    )
    assert changed.settings == Settings(top_k=0, stop=("a", "b"))
    assert sessions.get(session.id) == changed == sessions.list()[0]
    assert sessions.update(session.id, SessionChanges(settings=None)).settings is None


def test_two_who_change_different_settings_both_get_what_they_want(
    sessions: Sessions, database: Database
) -> None:
    session = sessions.create()
    profile = DefaultProfile(database)
    names = ("temperature", "top_p", "repeat_penalty", "top_k", "max_tokens")

    def change(step: int) -> None:
        changes = {names[step % len(names)]: step}
        sessions.update(session.id, SessionChanges(settings=changes))
        profile.change(changes)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(50)))
    for settings in (sessions.get(session.id).settings, profile.get()):
        values = [getattr(settings, name) for name in names]
        assert None not in values
        assert [value % len(names) for value in values] == list(range(len(names)))


def test_the_profile_stands_behind_a_sessions_settings(database: Database) -> None:
    profile = DefaultProfile(database)
    assert profile.get() == Settings()
    assert profile.replace(Settings(top_p=0.9, system_prompt="Be brief.")) == profile.get()
    own = Settings(top_p=0.1, top_k=0)
    assert own.over(profile.get()) == Settings(top_p=0.1, top_k=0, system_prompt="Be brief.")
    assert profile.change({"system_prompt": None}) == Settings(top_p=0.9) == profile.get()


def test_a_deleted_session_is_out_of_sight_and_comes_back_whole(sessions: Sessions) -> None:
    session, other = sessions.create("kept"), sessions.create("gone")
    reply = ended(sessions, other.id)
    before = sessions.get(other.id), sessions.messages(other.id)
    sessions.delete(other.id)
    assert sessions.list() == [session]
    for call in (
        lambda: sessions.get(other.id),
        lambda: sessions.messages(other.id),
        lambda: sessions.path(other.id, reply.id),
        lambda: sessions.update(other.id, SessionChanges(title="x")),
        lambda: sessions.begin_turn(other.id, "x"),
        lambda: sessions.begin_reply(other.id, reply.id),
        lambda: sessions.resume_reply(other.id, reply.id),
        lambda: sessions.delete(other.id),
    ):
        with pytest.raises(SessionNotFound):
            call()
    with pytest.raises(MessageNotFound):
        sessions.message(reply.id)
    assert sessions.restore(other.id) == before[0] == sessions.restore(other.id)
    assert (sessions.get(other.id), sessions.messages(other.id)) == before


def test_a_reply_that_ends_after_the_deletion_is_there_after_the_undo(sessions: Sessions) -> None:
    _, reply = sessions.begin_turn(sessions.create().id, "hello")
    sessions.delete(reply.session_id)
    sessions.grow_replies({reply.id: ("half", "")})
    with pytest.raises(MessageNotFound):
        sessions.finish_reply(reply.id, "half a word", "stopped", "cancelled")
    restored = sessions.restore(reply.session_id)
    assert (restored.leaf_id, restored.live_message_id) == (reply.id, None)
    stored = sessions.message(reply.id)
    assert (stored.content, stored.status) == ("half a word", "stopped")


def test_what_was_deleted_is_purged_after_a_while(sessions: Sessions, retention: Retention) -> None:
    old, young, kept = (sessions.create(title) for title in "abc")
    reply = ended(sessions, old.id)
    sessions.delete(old.id)
    assert retention.purge(60, age=1) == []
    sessions.delete(young.id)
    assert retention.purge(60, age=60_000) == []
    assert retention.purge(60, age=60_001) == [old.id]
    assert retention.purge(60, age=60_001) == []
    with pytest.raises(SessionNotFound):
        sessions.restore(old.id)
    with pytest.raises(MessageNotFound):
        sessions.finish_reply(reply.id, "", "complete")
    assert sessions.restore(young.id).title == "b"
    assert {session.id for session in sessions.list()} == {young.id, kept.id}


def test_what_nothing_happened_in_expires_and_can_be_restored(
    sessions: Sessions, retention: Retention
) -> None:
    old, pinned, live, used = (sessions.create(title) for title in ("a", "b", "c", "d"))
    ended(sessions, old.id)
    sessions.update(pinned.id, SessionChanges(pinned=True))
    sessions.begin_turn(live.id, "hello")
    assert retention.expire(60, age=1, now=5) == []
    ended(sessions, used.id)
    young = sessions.create("e")
    assert retention.expire(60, age=60_000, now=5) == []
    assert retention.expire(60, age=60_001, now=5) == [old.id] == retention.expired()
    assert retention.expire(60, age=60_001, now=5) == []
    kept = {session.id for session in sessions.list()}
    assert kept == {pinned.id, live.id, used.id, young.id}
    sessions.restore(old.id)
    assert retention.expired() == []
    # Its age starts again.
    assert retention.expire(60, age=90_000, now=5) == []
    assert retention.purge(0, age=90_000) == []
    sessions.update(old.id, SessionChanges(pinned=True))
    assert set(retention.expire(60, age=160_000, now=5)) == {used.id, young.id}
    assert retention.purge(60, age=160_000) == []
    assert set(retention.purge(60, age=220_000)) == {used.id, young.id}


def test_one_session_too_many_is_refused_and_none_given_up(
    database: Database, clock: Clock
) -> None:
    sessions = Sessions(database, clock, max_sessions=2)
    first, second = sessions.create("a"), sessions.create("b")
    for _ in range(2):
        with pytest.raises(TooManySessions, match=r"2 chats.*limits\.max_sessions"):
            sessions.create("c")
        assert sessions.list() == [second, first]
    with pytest.raises(Conflict, match=f"{first.id} already") as caught:
        sessions.create(session_id=first.id)
    assert not isinstance(caught.value, TooManySessions)
    sessions.delete(first.id)
    third = sessions.create("c")
    # Undoing the deletion restores it, even so.
    assert {session.id for session in (sessions.restore(first.id), third)} <= {
        session.id for session in sessions.list()
    }
    with pytest.raises(TooManySessions):
        sessions.create("d")


def test_the_id_of_a_deleted_session_is_free(sessions: Sessions) -> None:
    sessions.create("old", session_id="mine")
    ended(sessions, "mine")
    sessions.delete("mine")
    assert sessions.create("new", session_id="mine").title == "new"
    assert sessions.messages("mine") == []
    assert sessions.restore("mine").title == "new"


def test_another_reply_stands_beside_the_first(sessions: Sessions) -> None:
    session = sessions.create()
    first = ended(sessions, session.id)
    user, second = sessions.begin_reply(session.id, first.id, "other")
    assert (user.id, second.parent_id) == (first.parent_id, first.parent_id)
    assert (second.content, second.status, second.model) == ("", "streaming", "other")
    assert sessions.get(session.id).leaf_id == second.id
    with pytest.raises(ReplyInProgress):
        sessions.begin_reply(session.id, first.id)
    sessions.finish_reply(second.id, "ho", "complete")
    assert sessions.begin_reply(session.id, user.id)[1].parent_id == user.id


def test_a_reply_to_nothing_cannot_be_made_again(sessions: Sessions) -> None:
    session = sessions.create()
    greeting = add_message(sessions, session.id, None, "assistant", "Hello.", "interrupted")
    for call in (sessions.begin_reply, sessions.resume_reply):
        with pytest.raises(RequestError) as caught:
            call(session.id, greeting.id)
        assert caught.value.param == "message_id"
        with pytest.raises(MessageNotFound):
            call(session.id, "none")


def test_a_reply_goes_on_where_it_is(sessions: Sessions) -> None:
    session = sessions.create()
    _, begun = sessions.begin_turn(session.id, "hello", model="smollm2")
    cut = sessions.finish_reply(begun.id, "one two", "complete", "length", USAGE, reasoning="count")
    sessions.update(session.id, SessionChanges(leaf_id=cut.parent_id))
    user, again = sessions.resume_reply(session.id, cut.id, "other")
    assert user.id == cut.parent_id
    assert again == msgspec.structs.replace(
        cut, status="streaming", finish_reason=None, model="other"
    )
    assert sessions.get(session.id).leaf_id == sessions.get(session.id).live_message_id == cut.id
    rest = msgspec.structs.replace(
        USAGE, prompt_tokens=47, cached_tokens=46, completion_tokens=3, seed=2, context_tokens=50
    )
    whole = sessions.finish_reply(cut.id, "one two three", "complete", "stop", rest)
    assert whole.usage == msgspec.structs.replace(rest, completion_tokens=10, decode_seconds=3.0)


def test_only_what_broke_off_goes_on(sessions: Sessions) -> None:
    session = sessions.create()
    whole = ended(sessions, session.id)
    _, reply = sessions.begin_turn(session.id, "more")
    cut = sessions.finish_reply(reply.id, "half", "stopped", "cancelled")
    _, live = sessions.begin_turn(session.id, "and now")
    with pytest.raises(ReplyInProgress):
        sessions.resume_reply(session.id, live.id)
    sessions.finish_reply(live.id, "", "failed")
    for message_id, kind in (
        (whole.id, Conflict),
        (cut.id, Conflict),
        (cut.parent_id, RequestError),
    ):
        before = sessions.messages(session.id)
        with pytest.raises(kind):
            sessions.resume_reply(session.id, str(message_id))
        assert sessions.messages(session.id) == before
    assert sessions.resume_reply(session.id, live.id)[1].status == "streaming"


def test_a_reply_that_fails_as_it_goes_on_keeps_what_it_had(sessions: Sessions) -> None:
    _, reply = sessions.begin_turn(sessions.create().id, "hello")
    sessions.finish_reply(reply.id, "half", "stopped", "cancelled", USAGE)
    sessions.resume_reply(reply.session_id, reply.id)
    failed = sessions.finish_reply(reply.id, "half", "failed")
    assert (failed.content, failed.usage) == ("half", USAGE)
