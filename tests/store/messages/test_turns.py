"""A turn from the user's message to the end of its reply."""

import msgspec
import pytest

from appliance.errors import MessageNotFound, ReplyInProgress
from appliance.store.sessions import USE_LEAF, MessageError, MessageUsage, Sessions
from tests.store.conftest import Clock, add_message

USAGE = MessageUsage(
    prompt_tokens=40,
    cached_tokens=32,
    cached_from="disk",
    completion_tokens=7,
    dropped_messages=0,
    queued_seconds=0.0,
    prefill_seconds=0.25,
    decode_seconds=1.5,
    seed=2**32 - 1,
    context_tokens=47,
    n_ctx=2048,
)


def test_a_turn_begins_with_both_messages(sessions: Sessions) -> None:
    session = sessions.create()
    user, reply = sessions.begin_turn(session.id, "hello", model="smollm2")
    assert (user.role, user.content, user.status, user.model) == ("user", "hello", "complete", None)
    assert (reply.role, reply.content, reply.status) == ("assistant", "", "streaming")
    assert (user.parent_id, reply.parent_id, reply.model) == (None, user.id, "smollm2")
    assert sessions.messages(session.id) == [user, reply]
    begun = sessions.get(session.id)
    assert begun.leaf_id == begun.live_message_id == reply.id
    assert sessions.list() == [begun]


def test_a_turn_follows_the_leaf_or_the_given_parent(sessions: Sessions) -> None:
    session = sessions.create()
    first, reply = sessions.begin_turn(session.id, "one")
    sessions.finish_reply(reply.id, "1", "complete")
    second, second_reply = sessions.begin_turn(session.id, "two", USE_LEAF)
    sessions.finish_reply(second_reply.id, "2", "complete")
    edited, edited_reply = sessions.begin_turn(session.id, "two, edited", reply.id)
    sessions.finish_reply(edited_reply.id, "2b", "complete")
    anew, _ = sessions.begin_turn(session.id, "from the start", None)
    assert (second.parent_id, edited.parent_id, anew.parent_id) == (reply.id, reply.id, None)
    branch = sessions.path(session.id, edited_reply.id)
    assert [message.content for message in branch] == ["one", "1", "two, edited", "2b"]
    assert branch[0] == first


def test_a_session_is_answered_one_reply_at_a_time(sessions: Sessions) -> None:
    session, other = sessions.create(), sessions.create()
    _, reply = sessions.begin_turn(session.id, "hello")
    before = sessions.get(session.id), sessions.messages(session.id)
    for call in (
        lambda: sessions.begin_turn(session.id, "too early"),
        lambda: add_message(sessions, session.id, None, "assistant", "", "streaming"),
    ):
        with pytest.raises(ReplyInProgress):
            call()
    assert (sessions.get(session.id), sessions.messages(session.id)) == before
    sessions.begin_turn(other.id, "elsewhere it goes on")
    sessions.finish_reply(reply.id, "hi", "stopped", "cancelled")
    sessions.begin_turn(session.id, "now")


def test_the_first_message_gives_a_title_where_there_is_none(sessions: Sessions) -> None:
    bare, named = sessions.create(), sessions.create("Named")
    for session in (bare, named):
        _, reply = sessions.begin_turn(session.id, "What is WAL?\nAnd why?")
        sessions.finish_reply(reply.id, "", "complete")
        sessions.begin_turn(session.id, "Next")
    assert sessions.get(bare.id).title == "What is WAL?"
    assert sessions.get(named.id).title == "Named"


def test_live_replies_grow_together(sessions: Sessions) -> None:
    replies = [sessions.begin_turn(sessions.create().id, "hello")[1] for _ in range(3)]
    sessions.grow_replies({reply.id: (f"text {reply.id}", "") for reply in replies})
    for reply in replies:
        grown = sessions.message(reply.id)
        assert grown == msgspec.structs.replace(reply, content=f"text {reply.id}")
    sessions.grow_replies({})


def test_growth_passes_over_what_has_ended(sessions: Sessions) -> None:
    (_, ended), (_, deleted), (_, live) = (
        sessions.begin_turn(sessions.create().id, "hello") for _ in range(3)
    )
    final = sessions.finish_reply(ended.id, "final", "complete", "stop")
    sessions.delete(deleted.session_id)
    sessions.grow_replies(
        {ended.id: ("late", ""), deleted.id: ("late", ""), live.id: ("so far", "")}
    )
    assert sessions.message(ended.id) == final
    assert sessions.message(live.id).content == "so far"


def test_a_reply_ends_with_all_that_is_known_of_it(sessions: Sessions, clock: Clock) -> None:
    session = sessions.create()
    _, reply = sessions.begin_turn(session.id, "hello")
    ended = sessions.finish_reply(reply.id, "Hi there", "complete", "stop", USAGE)
    assert ended == msgspec.structs.replace(
        reply, content="Hi there", status="complete", finish_reason="stop", usage=USAGE
    )
    assert sessions.message(reply.id) == ended
    now = sessions.get(session.id)
    assert (now.live_message_id, now.leaf_id, now.updated_at) == (None, reply.id, clock.now)


def test_a_failed_reply_keeps_its_text_and_its_error(sessions: Sessions) -> None:
    _, reply = sessions.begin_turn(sessions.create().id, "hello")
    error = MessageError("worker_died", "The model's process ended.")
    failed = sessions.finish_reply(reply.id, "half an ans", "failed", error=error)
    assert (failed.content, failed.status, failed.error) == ("half an ans", "failed", error)
    assert failed.usage is None
    assert sessions.message(reply.id) == failed


def test_the_first_ending_stays(sessions: Sessions) -> None:
    _, reply = sessions.begin_turn(sessions.create().id, "hello")
    stopped = sessions.finish_reply(reply.id, "half", "stopped", "cancelled")
    assert sessions.finish_reply(reply.id, "whole", "complete", "stop", USAGE) == stopped
    assert sessions.message(reply.id) == stopped


def test_a_reply_whose_session_was_deleted_is_not_written(sessions: Sessions) -> None:
    _, reply = sessions.begin_turn(sessions.create().id, "hello")
    sessions.delete(reply.session_id)
    with pytest.raises(MessageNotFound):
        sessions.finish_reply(reply.id, "text", "complete")
    assert sessions.list() == []


def test_a_start_interrupts_what_was_streaming_and_nothing_else(sessions: Sessions) -> None:
    _, ended = sessions.begin_turn(sessions.create().id, "hello")
    final = sessions.finish_reply(ended.id, "done", "complete")
    live = [sessions.begin_turn(sessions.create().id, "hello")[1] for _ in range(2)]
    sessions.grow_replies({live[0].id: ("so far", "")})
    assert sessions.interrupt_streaming() == 2
    assert [sessions.message(one.id).status for one in live] == ["interrupted"] * 2
    assert [sessions.message(one.id).content for one in live] == ["so far", ""]
    assert sessions.message(ended.id) == final
    assert all(session.live_message_id is None for session in sessions.list())
    assert sessions.interrupt_streaming() == 0
