"""Two clients in one chat at the same time: neither undoes the other's change, nothing breaks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.chat.chats import LONG, messages, new_session, settled, stream, turn
from tests.api.sse import events
from tests.running import Running


@pytest.fixture
def session(running: Running) -> str:
    return new_session(running)


def together(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_both_change_what_they_want(session: str) -> None:
    fields = {"temperature": 0.5, "top_p": 0.5, "top_k": 5, "max_tokens": 5, "stop": ["a"]}

    def change(name: str) -> None:
        assert httpx.patch(session, json={"settings": {name: fields[name]}}).status_code == 200

    together(*(lambda name=name: change(name) for name in fields))
    settings = httpx.get(session).json()["settings"]
    assert {name: settings[name] for name in fields} == fields


def test_one_of_two_questions_is_answered_and_the_other_refused(session: str) -> None:
    def ask() -> int:
        body = {"content": "Who was first?", "max_tokens": 40}
        return httpx.post(session + "/turns", json=body, timeout=60).status_code

    assert sorted(together(ask, ask)) == [200, 409]
    assert len(messages(session)) == 2


def test_one_of_two_who_continue_a_reply_does(session: str) -> None:
    cut = turn(session, "Tell me a long story.", max_tokens=5)[-1][1]["message"]
    address = f"{session}/messages/{cut['id']}"

    def post(what: str) -> int:
        body = {"max_tokens": 40}
        return httpx.post(f"{address}/{what}", json=body, timeout=60).status_code

    statuses = together(lambda: post("continue"), lambda: post("continue"))
    # The second is refused while the first is running, or continues from where it ended.
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    reply = settled(session)
    assert reply["content"].startswith(cut["content"])
    assert len(messages(session)) == 2


def test_nothing_else_is_done_to_a_reply_that_is_being_written(session: str) -> None:
    first = turn(session, "Hello.", max_tokens=3)[-1][1]["message"]
    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        received = iter(events(response))
        live = next(received)[1]["reply"]
        for id in (first["id"], live["id"]):
            for what in ("regenerate", "continue"):
                refused = httpx.post(f"{session}/messages/{id}/{what}", json={})
                assert refused.status_code == 409, what
        # Switching branches, renaming and pinning are allowed meanwhile.
        changed = httpx.patch(session, json={"leaf_id": first["id"], "title": "x", "pinned": True})
        assert changed.status_code == 200
        httpx.post(session + "/stop")
        assert list(received)[-1][0] == "done"
    assert httpx.get(session).json()["leaf_id"] == first["id"]


def test_what_one_deletes_ends_for_the_other_and_comes_back_whole(session: str) -> None:
    first = turn(session, "Hello.", max_tokens=3)[-1][1]["message"]
    with httpx.stream("POST", session + "/turns", json=LONG, timeout=60) as response:
        received = iter(events(response))
        next(received)
        assert httpx.delete(session).status_code == 204
        refusals = [
            httpx.get(session),
            httpx.get(session + "/messages"),
            httpx.get(session + "/live"),
            httpx.get(session + "/export"),
            httpx.delete(session),
            httpx.patch(session, json={"title": "mine"}),
            httpx.post(session + "/stop"),
            httpx.post(session + "/turns", json={"content": "x"}),
            httpx.post(f"{session}/messages/{first['id']}/regenerate", json={}),
            httpx.post(f"{session}/messages/{first['id']}/continue", json={}),
        ]
        assert [refused.status_code for refused in refusals] == [404] * len(refusals)
        assert list(received)[-1][0] == "error"
    restored = together(*[lambda: httpx.post(session + "/restore")] * 4)
    assert [response.status_code for response in restored] == [200] * 4
    tree = messages(session)
    assert len(tree) == 4
    assert settled(session)["status"] == "stopped"
    received_again = stream(f"{session}/messages/{tree[-1]['id']}/continue", max_tokens=4)
    assert received_again[-1][0] == "done"
