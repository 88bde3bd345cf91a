"""Search over all chats, over HTTP."""

import secrets

import httpx
import pytest

from tests.api.chat.chats import messages, new_session, turn
from tests.running import Running


def test_messages_and_titles_are_found_in_their_context(running: Running) -> None:
    word = "z" + secrets.token_hex(6)
    session = new_session(running)
    turn(session, f"Please remember the word {word.upper()} for me.", max_tokens=1)
    titled = new_session(running, title=f"About {word}")
    query = {"q": f"{word[:-2]} about"}
    (hit,) = httpx.get(running.url + "/api/search", params=query).json()["hits"]
    assert hit["message_id"] is None
    assert titled.endswith(hit["session_id"])
    page = httpx.get(running.url + "/api/search", params={"q": word, "limit": 1, "offset": 2})
    assert page.status_code == 200
    (hit,) = page.json()["hits"]
    assert page.json()["more"] is False
    assert hit["message_id"] == messages(session)[0]["id"]
    assert hit["role"] == "user"
    assert {"text": word.upper(), "hit": True} in hit["snippet"]
    for address in (session, titled):
        httpx.delete(address)
    gone = httpx.get(running.url + "/api/search", params={"q": word}).json()
    assert gone == {"hits": [], "more": False}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "q"),
        ("q=a&limit=0", "limit"),
        ("q=a&limit=101", "limit"),
        ("q=a&offset=-1", "offset"),
        ("q=a&limit=x", "limit"),
        ("q=a&page=2", "page"),
        (f"q={'a' * 501}", "q"),
    ],
)
def test_bad_queries_are_refused_by_name(running: Running, query: str, param: str) -> None:
    refused = httpx.get(f"{running.url}/api/search?{query}")
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "query",
    ["%22", "%00", "a%00b", "%FF%FE", "%ED%A0%80", "AND", "*", "%25", "q=a&q=b", "NEAR(", "a%0Ab"],
)
def test_nothing_that_is_typed_breaks_it(running: Running, query: str) -> None:
    assert httpx.get(f"{running.url}/api/search?q={query}").status_code in (200, 400)
