"""The cost of a call depends on its chat, not on the number of other chats.

It is counted in steps of SQLite's virtual machine, which are the same on every machine.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from appliance.store.database import Database
from appliance.store.sessions import SessionChanges, Sessions
from tests.store.conftest import add_message

FEW, MANY = 10, 200


@contextmanager
def _steps(database: Database) -> Iterator[list[int]]:
    counted: list[int] = []

    def note(event: dict[str, Any]) -> None:
        # The index's own statements are never reset, so that their steps add up from call to call.
        if "message_search_" in event["sql"] or "data_version" in event["sql"]:
            return
        counted.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

    with database.read() as reader, database.write() as writer:
        connections = (reader, writer)
    for connection in connections:
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    yield counted
    for connection in connections:
        connection.trace_v2(0, None)


def _costs(database: Database, sessions: Sessions) -> dict[str, int]:
    """Steps of every call, in a new chat with three turns."""
    session = sessions.create()
    for _ in range(2):
        _, reply = sessions.begin_turn(session.id, "hello")
        sessions.finish_reply(reply.id, "hi", "complete")
    _, live = sessions.begin_turn(session.id, "hello")
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: sessions.get(session.id),
        "update": lambda: sessions.update(session.id, SessionChanges(title="title")),
        "messages": lambda: sessions.messages(session.id),
        "message": lambda: sessions.message(live.id),
        "path": lambda: sessions.path(session.id, live.id),
        "grow": lambda: sessions.grow_replies({live.id: ("text", "")}),
        "finish": lambda: sessions.finish_reply(live.id, "text", "complete"),
        "add": lambda: add_message(sessions, session.id, live.id, "user", "", "complete"),
        "turn": lambda: sessions.begin_turn(session.id, "hello"),
        "interrupt": sessions.interrupt_streaming,
        "delete": lambda: sessions.delete(session.id),
    }
    costs = {}
    for name, call in calls.items():
        with _steps(database) as counted:
            call()
        costs[name] = sum(counted)
    return costs


def _fill(sessions: Sessions, count: int) -> None:
    for _ in range(count):
        _, reply = sessions.begin_turn(sessions.create().id, "hello")
        sessions.finish_reply(reply.id, "hi", "complete")


def test_no_call_about_one_chat_looks_at_the_others(database: Database, sessions: Sessions) -> None:
    _fill(sessions, FEW)
    among_few = _costs(database, sessions)
    _fill(sessions, MANY)
    among_many = _costs(database, sessions)
    assert min(among_few.values()) > 0
    assert {name: cost for name, cost in among_many.items() if cost > 2 * among_few[name]} == {}


def test_listing_looks_at_each_session_once(database: Database, sessions: Sessions) -> None:
    _fill(sessions, MANY)
    with _steps(database) as counted:
        assert len(sessions.list()) == MANY
    assert sum(counted) < 45 * MANY
