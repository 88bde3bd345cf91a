"""Stored text is returned unchanged, and text that cannot be stored is refused."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import RequestError
from appliance.store.sessions import MessageError, SessionChanges, Sessions, Settings
from appliance.store.text import TITLE_LENGTH, title_from
from tests.store.conftest import add_message

HALF = "a\ud83db"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(ANY_TEXT)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_text_comes_back_as_it_was(sessions: Sessions, text: str) -> None:
    session = sessions.create(text)
    added = add_message(sessions, session.id, None, "user", text, "complete")
    assert sessions.message(added.id).content == text
    assert sessions.get(session.id).title == text


def test_nul_survives(sessions: Sessions) -> None:
    user, reply = sessions.begin_turn(sessions.create().id, "a\0b")
    sessions.grow_replies({reply.id: ("\0", "a\0")})
    assert sessions.message(user.id).content == "a\0b"
    grown = sessions.message(reply.id)
    assert (grown.content, grown.reasoning) == ("\0", "a\0")
    assert sessions.finish_reply(reply.id, "c\0d\0", "complete").content == "c\0d\0"


def test_half_a_surrogate_pair_is_refused_and_named(sessions: Sessions) -> None:
    session = sessions.create()
    user, reply = sessions.begin_turn(session.id, "hello")
    refused: dict[str, list[Callable[[], object]]] = {
        "content": [
            lambda: sessions.begin_turn(session.id, HALF),
            lambda: add_message(sessions, session.id, None, "user", HALF, "complete"),
            lambda: sessions.grow_replies({reply.id: (HALF, "")}),
            lambda: sessions.finish_reply(reply.id, HALF, "complete"),
        ],
        "reasoning": [
            lambda: sessions.grow_replies({reply.id: ("", HALF)}),
            lambda: sessions.finish_reply(reply.id, "", "complete", reasoning=HALF),
        ],
        "title": [
            lambda: sessions.create(HALF),
            lambda: sessions.update(session.id, SessionChanges(title=HALF)),
        ],
        "model": [
            lambda: add_message(sessions, session.id, None, "user", "", "complete", HALF),
            lambda: sessions.begin_reply(session.id, reply.id, HALF),
            lambda: sessions.resume_reply(session.id, reply.id, HALF),
        ],
        "settings.system_prompt": [
            lambda: sessions.create(settings=Settings(system_prompt=HALF)),
            lambda: sessions.update(session.id, SessionChanges(settings={"system_prompt": HALF})),
        ],
        "settings.stop": [
            lambda: sessions.update(session.id, SessionChanges(settings={"stop": ("a", HALF)})),
        ],
        "id": [lambda: sessions.create(session_id=HALF)],
    }
    for field, calls in refused.items():
        for call in calls:
            with pytest.raises(RequestError) as caught:
                call()
            assert caught.value.code == "invalid_request"
            assert caught.value.param == field
    assert sessions.messages(session.id) == [user, reply]


def test_a_reply_ends_even_if_its_error_quotes_a_broken_file_name(sessions: Sessions) -> None:
    _, reply = sessions.begin_turn(sessions.create().id, "hello")
    ended = sessions.finish_reply(
        reply.id, "", "failed", error=MessageError("worker_died", "no \udcff.gguf")
    )
    assert ended.error == MessageError("worker_died", r"no \udcff.gguf")


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("What is WAL?", "What is WAL?"),
        ("\n\n  First\tline  \nsecond", "First line"),
        ("word " * 40, "word word word word word word word word word word word word"),
        ("x" * 60, "x" * 60),
        ("x" * 60 + " y", "x" * 60),
        ("x" * 61, "x" * 60),
        ("字" * 200, "字" * 60),
        (" \n\t", ""),
        ("# Plan\n\nfor today", "Plan"),
        ("```python\nprint(1)\n```\nWhat is this?", "print(1)"),
        ("> quoted", "quoted"),
        ("- [ ] one\n- [ ] two", "[ ] one"),
        ("---\n\n**Bold** words", "Bold** words"),
        ("###", "###"),
        ("```", "```"),
    ],
)
def test_a_title_is_the_first_line_cut_at_a_word(content: str, title: str) -> None:
    assert title_from(content) == title


@given(ANY_TEXT)
def test_a_title_is_one_short_line(content: str) -> None:
    title = title_from(content)
    assert len(title) <= TITLE_LENGTH
    assert len(title.splitlines()) <= 1
    assert bool(title) == bool(content.strip())
