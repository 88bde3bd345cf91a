"""Search finds every match, at any position, for any query."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import RequestError
from appliance.store.database import Database
from appliance.store.search import SNIPPET, Search, SearchHit, SnippetSegment
from appliance.store.sessions import Message, SessionChanges, Sessions
from appliance.store.upkeep.retention import Retention
from tests.store.conftest import add_message


@pytest.fixture
def search(database: Database) -> Search:
    return Search(database)


def stored(sessions: Sessions, content: str, title: str = "-") -> Message:
    session = sessions.create(title)
    return add_message(sessions, session.id, None, "user", content, "complete")


def found(search: Search, query: str) -> list[str | None]:
    return [hit.message_id for hit in search.find(query, 100).hits]


def marked(hit: SearchHit) -> str:
    return "".join(f"[{s.text}]" if s.hit else s.text for s in hit.snippet)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The quick brown fox", "quick"),
        ("The quick brown fox", "QUICK BROWN"),
        ("The quick brown fox", "fox the"),
        ("The quick brown fox", '"quick brown"'),
        ("The quick brown fox", "uic"),
        ("snake_case and get_user(id)", "get_user("),
        ("C++ and C#", "c#"),
        ("Crème brûlée", "creme brulee"),
        ("Creme brulee", "crème"),
        ("Cre\u0300me bru\u0302le\u0301e", "crème brûlée"),
        ("ΑΘΗΝΑ", "αθηνα"),
        ("ПРИВЕТ мир", "привет"),
        ("Он", "он"),
        ("東京都に住んでいます", "東京"),
        ("東京都に住んでいます", "住んで"),
        ("我喜欢编程", "编"),
        ("서울에서 만나요", "서울"),
        ("ฉันรักภาษาไทย", "ภาษา"),
        ("a 😀 b", "😀"),
        ("100% of a_b", "0%"),
        ("back\\slash", "k\\s"),
        ("NEAR and NOT are words", "NEAR NOT"),
        ('say "hello"', '"hello"'),
        ("it's", "it's"),
        ("<script>alert(1)</script>", "<script>"),
        ("one\n\n  two", "two one"),
        ("left \u202e right", "right"),
    ],
)
def test_what_is_there_is_found(sessions: Sessions, search: Search, text: str, query: str) -> None:
    stored(sessions, "something else altogether, 別の話")
    message = stored(sessions, text)
    (hit,) = search.find(query, 10).hits
    assert (hit.message_id, hit.session_id) == (message.id, message.session_id)
    assert any(segment.hit for segment in hit.snippet)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The quick brown fox", "quack"),
        ("The quick brown fox", "quick slow"),
        ("The quick brown fox", '"brown quick"'),
        ("100 of ab", "0%"),
        ("axb", "a_b"),
        ("日本", "京"),
    ],
)
def test_what_is_not_there_is_not_found(
    sessions: Sessions, search: Search, text: str, query: str
) -> None:
    stored(sessions, text)
    assert search.find(query, 10).hits == []


HOSTILE = [
    *('"', '""', '" "', "'", "*", "a*", "^a", "a OR", "AND", "NOT", "NEAR(", "NEAR/2", "(", ")"),
    *("{a}: b", "content:abc", "-abc", "abc NOT", "a\0bcd", "\0", "abc\0def", "--", ";", "%", "_"),
    *("\\", "'; DROP TABLE messages; --", "\u0301", "\u0301\u0301\u0301\u0301", "\u200b" * 5),
    *("x" * 500, '"' * 500, "a " * 250, "ab" * 250, "\u202eabc", "\ufffd", "\n\t\r", "ß", "İİİ"),
]


@pytest.mark.parametrize("query", HOSTILE)
def test_nothing_that_is_typed_breaks_it(sessions: Sessions, search: Search, query: str) -> None:
    stored(sessions, "some text, ÄÖÜ")
    search.find(query, 10)
    assert len(sessions.list()) == 1


@given(st.text(max_size=30))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_breaks_it(sessions: Sessions, search: Search, text: str) -> None:
    search.find(text, 10)


@given(st.text(st.characters(exclude_categories=["C", "Z", "M"]), min_size=1, max_size=12))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_message_is_found_by_its_own_words(
    sessions: Sessions, search: Search, text: str
) -> None:
    message = stored(sessions, f"so {text} it is")
    quoted = text if '"' in text else f'"{text}"'
    assert message.id in found(search, quoted)


def test_half_a_surrogate_pair_is_refused(search: Search) -> None:
    with pytest.raises(RequestError) as caught:
        search.find("a\ud800", 10)
    assert caught.value.param == "q"


def test_titles_come_first_and_then_the_newest_messages(sessions: Sessions, search: Search) -> None:
    first = stored(sessions, "about bread", "Bread and butter")
    second = stored(sessions, "Bread again", "Other")
    page = search.find("bread", 10)
    assert [hit.message_id for hit in page.hits] == [None, second.id, first.id]
    title = page.hits[0]
    assert (title.session_id, title.session_title, title.role) == (
        *(first.session_id, "Bread and butter", None),
    )
    assert title.snippet == [SnippetSegment("Bread", True), SnippetSegment(" and butter", False)]
    assert (page.hits[1].role, page.hits[1].created_at) == ("user", second.created_at)


def test_pages_have_every_hit_once(sessions: Sessions, search: Search) -> None:
    for number in range(7):
        stored(sessions, f"needle {number}", "needle" if number % 2 else "hay")
    everything = search.find("needle", 100)
    assert (len(everything.hits), everything.more) == (10, False)
    for size in (1, 2, 3, 9, 10):
        hits, offset = [], 0
        while True:
            page = search.find("needle", size, offset)
            hits += page.hits
            offset += size
            if not page.more:
                break
        assert hits == everything.hits
    assert search.find("needle", 5, 99).hits == []


def test_a_snippet_shows_the_hit_in_its_context(sessions: Sessions, search: Search) -> None:
    words = " ".join(f"word{number}" for number in range(2000))
    stored(sessions, f"{words}\n\nthe\tNeedle\nhere {words}")
    (hit,) = search.find("needle here", 1).hits
    text = marked(hit)
    assert "the [Needle] [here] word0" in text
    assert text.startswith("…word19")
    assert text.endswith("…")
    assert len(text) <= SNIPPET + len("……[][]")
    assert "\n" not in text


def test_a_word_in_another_spelling_is_marked_where_it_stands(
    sessions: Sessions, search: Search
) -> None:
    stored(sessions, "le\u0301ge\u0301re, LÉGÈRE, ligera")
    (hit,) = search.find("legere", 1).hits
    assert marked(hit) == "[le\u0301ge\u0301re], [LÉGÈRE], ligera"


def test_the_index_follows_every_change(sessions: Sessions, search: Search) -> None:
    session = sessions.create("-")
    user, reply = sessions.begin_turn(session.id, "a question")
    assert found(search, "question") == [user.id]
    sessions.grow_replies({reply.id: ("an answer", "")})
    assert found(search, "answer") == []
    sessions.finish_reply(reply.id, "an answer at last", "stopped", "cancelled", reasoning="why")
    assert found(search, "answer") == found(search, "last") == [reply.id]
    assert found(search, "why") == []
    sessions.resume_reply(session.id, reply.id)
    assert found(search, "answer") == []
    sessions.finish_reply(reply.id, "an answer that goes on", "complete", "stop")
    assert found(search, "goes") == [reply.id]
    assert found(search, "last") == []
    _, cut = sessions.begin_turn(session.id, "more")
    sessions.grow_replies({cut.id: ("unfinished", "")})
    sessions.interrupt_streaming()
    assert found(search, "unfinished") == [cut.id]
    sessions.update(session.id, SessionChanges(title="renamed"))
    assert found(search, "renamed") == [None]


def test_what_is_deleted_is_not_found(
    sessions: Sessions, search: Search, retention: Retention, database: Database
) -> None:
    message = stored(sessions, "a secret", "secret")
    sessions.delete(message.session_id)
    assert found(search, "secret") == []
    sessions.restore(message.session_id)
    assert found(search, "secret") == [None, message.id]
    sessions.delete(message.session_id)
    retention.purge(0, 1)
    assert found(search, "secret") == []
    with database.write() as connection:
        # Raises if the index and the messages differ.
        connection.execute(
            "INSERT INTO message_search (message_search, rank) VALUES ('integrity-check', 1)"
        )
