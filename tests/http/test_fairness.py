"""Connections that are idle, use much memory or read nothing: bounded, without harm to others."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.http import listener
from appliance.http.fairness import is_admitted, removed_for, too_much
from appliance.http.server import ServerLimits
from tests.http.raw_http import (
    Answer,
    Client,
    Serving,
    app_of,
    await_channels,
    eventually,
    ping,
    serving,
)
from tests.http.ws_server import Route, frame, serving_ws, shaken

GROUPS = [None, "10.0.0.1", "10.0.0.2", "2001:db8::/64"]


@dataclass(eq=False)
class Some:
    """A connection."""

    client_group: str | None
    known: bool = False
    waiting_since: float = 0.0
    held: int = 0
    busy: bool = False

    @property
    def removable(self) -> bool:
        return not (self.known or self.busy)


connections = st.lists(
    st.builds(
        Some,
        st.sampled_from(GROUPS),
        st.booleans(),
        st.floats(0, 1000),
        st.integers(0, 1000),
        st.booleans(),
    ),
    max_size=40,
)


@given(connections, st.integers(0, 5000))
def test_what_is_left_is_little_enough_and_who_takes_little_keeps_it(
    present: list[Some], most: int
) -> None:
    gone = too_much(present, most)
    left = [one for one in present if one not in gone]
    assert sum(one.held for one in left) <= most
    sums: Counter[str | None] = Counter()
    for one in present:
        sums[one.client_group] += one.held
    for one in gone:
        assert sums[one.client_group] * len(sums) >= most, "its group had less than its share"
    if gone:
        assert sum(one.held for one in left) + gone[-1].held > most, "nobody goes in vain"


@given(connections, st.sampled_from(GROUPS), st.integers(1, 40), st.integers(1, 10))
def test_the_connection_closed_for_another_has_the_lowest_priority(
    present: list[Some], group: str | None, room: int, share: int
) -> None:
    limits = ServerLimits(connections=room, connections_kept=0, connections_per_address=share)
    groups = [one.client_group for one in present]
    gone = removed_for(group, present, limits)
    removable = [one for one in present if one.removable]
    if group is not None and groups.count(group) >= share:
        removable = [one for one in removable if one.client_group == group]
    if gone is None:
        assert not removable
        return
    assert gone in removable
    rank = (gone.client_group is None, gone.waiting_since)
    assert all((one.client_group is None, one.waiting_since) >= rank for one in removable)
    if len(present) <= room and groups.count(group) <= share:
        groups.remove(gone.client_group)
        assert is_admitted(group, groups, limits)


# -- on real sockets, where other loopback addresses stand for other machines ----------------------


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(address: str) -> str | None:
        return None if address == "127.0.0.1" else address

    monkeypatch.setattr(listener, "client_group_of", own)


class Neighbour(Client):
    """A client of another machine."""

    def __init__(self, it: Serving, number: int, receive_buffer: int | None = None) -> None:
        super().__init__(it.address, receive_buffer, connect=False)
        self.socket.bind((f"127.0.0.{number}", 0))
        self.socket.connect(it.address)
        it.clients.append(self)


def keyed(environ: dict[str, Any]) -> Answer:
    """A route that accepts a key."""
    environ["appliance.set_owner"]("key_1")
    return b"known"


def answer(client: Client, path: str = "/ping") -> bytes:
    client.get(path)
    return client.read_response().body


LIMITS = {"connections": 24, "connections_kept": 4, "connections_per_address": 10}
SILENT = {
    "nothing": b"",
    "half a request line": b"GET /pi",
    "half a head": b"GET /ping HTTP/1.1\r\nHost: x\r\n",
    "half a body": b"POST /ping HTTP/1.1\r\nContent-Length: 10000\r\n\r\nx",
    "a whole request, and then nothing": b"GET /ping HTTP/1.1\r\n\r\n",
}


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize("sent", SILENT.values(), ids=SILENT)
def test_idle_strangers_shut_no_key_holder_out(sent: bytes) -> None:
    with serving(app_of(ping=ping, keyed=keyed), **LIMITS) as it:
        before = [Neighbour(it, 9) for _ in range(3)]
        assert [answer(client, "/keyed") for client in before] == [b"known"] * 3
        for number in range(40):
            stranger = Neighbour(it, 2 + number % 4)
            with contextlib.suppress(ConnectionError):
                stranger.send(sent)
        # New ones, from elsewhere or from a stranger's own address, and idle ones.
        for number in (8, 2, 9, 3):
            assert answer(Neighbour(it, number), "/keyed") == b"known"
        assert [answer(client, "/keyed") for client in before] == [b"known"] * 3
        assert answer(it.connect()) == b"pong"
        assert it.server.connections <= LIMITS["connections"]


@pytest.mark.usefixtures("machines")
def test_the_connection_that_was_silent_for_longest_goes_first() -> None:
    with serving(app_of(ping=ping), **LIMITS | {"connections_per_address": 3}) as it:
        first, second, third = (Neighbour(it, 2) for _ in range(3))
        await_channels(it, 3)
        assert answer(first) == b"pong"  # so it is the second one
        fourth = Neighbour(it, 2)
        assert second.is_closed_by_server()
        assert [answer(client) for client in (first, third, fourth)] == [b"pong"] * 3
        assert answer(Neighbour(it, 3)) == b"pong"


@pytest.mark.usefixtures("machines")
def test_a_connection_being_answered_is_never_closed_for_another() -> None:
    let_go, entered = threading.Event(), threading.Semaphore(0)

    def busy(_environ: dict[str, Any]) -> Answer:
        entered.release()
        let_go.wait(10)
        return b"done"

    with serving(app_of(busy=busy), **LIMITS | {"connections_per_address": 3}) as it:
        clients = [Neighbour(it, 2) for _ in range(3)]
        for client in clients:
            client.get("/busy")
            assert entered.acquire(timeout=10)
        assert Neighbour(it, 2).is_closed_by_server()
        let_go.set()
        assert [client.read_response().body for client in clients] == [b"done"] * 3


# -- memory in use ---------------------------------------------------------------------------------

MEGABYTE = 1024 * 1024


def held(it: Serving) -> int:
    return sum(channel.held for channel in list(it.server._channels.values()))


def unfinished_frame(size: int) -> bytes:
    return b"\x81\xff" + (2 * size).to_bytes(8, "big") + bytes(4) + b"x" * size


UNFINISHED: dict[str, Callable[[int], bytes]] = {
    "a frame": unfinished_frame,
    "frames": lambda size: frame(b"x" * 60_000, fin=False) * (size // 60_000),
}


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize("kind", UNFINISHED)
def test_unfinished_messages_are_bounded_in_sum(kind: str) -> None:
    data, route = UNFINISHED[kind](MEGABYTE), Route()
    with serving_ws(route, held=6 * MEGABYTE) as it:
        small = neighbour_ws(it, 3)
        small.send(unfinished_frame(MEGABYTE))
        assert eventually(lambda: held(it) > 900_000)
        for _ in range(20):
            flood = neighbour_ws(it, 2)
            with contextlib.suppress(ConnectionError):
                flood.send(data)
            time.sleep(0.01)
        assert eventually(lambda: held(it) <= 6 * MEGABYTE)
        assert eventually(lambda: it.server.connections < 10), "those that held most were cut"
        small.send(b"x" * MEGABYTE)  # the rest of its message
        assert eventually(lambda: any(talk.received_texts for talk in route.made))
    assert eventually(lambda: all(talk.closes == 1 for talk in route.made))


def neighbour_ws(it: Serving, number: int) -> Client:
    class Elsewhere(Serving):
        def __init__(self) -> None:
            self.clients = it.clients

        def connect(self, receive_buffer: int | None = None) -> Client:
            return Neighbour(it, number, receive_buffer)

    return shaken(Elsewhere())


@pytest.mark.usefixtures("machines")
def test_unfinished_bodies_are_bounded_in_sum() -> None:
    with serving(app_of(ping=ping), held=4 * MEGABYTE) as it:
        head = f"POST /ping HTTP/1.1\r\nContent-Length: {2 * MEGABYTE}\r\n\r\n".encode()
        small = Neighbour(it, 3)
        small.send(head + b"x" * MEGABYTE)
        assert eventually(lambda: held(it) == MEGABYTE)
        for _ in range(12):
            with contextlib.suppress(ConnectionError):
                Neighbour(it, 2).send(head + b"x" * MEGABYTE)
        assert eventually(lambda: held(it) <= 4 * MEGABYTE)
        small.send(b"x" * MEGABYTE)
        assert small.read_response().body == b"pong"


@pytest.mark.usefixtures("machines")
def test_answers_that_nobody_reads_are_bounded_in_sum_and_hold_no_thread() -> None:
    large = app_of(
        large=lambda _: b"x" * 18 * MEGABYTE, ping=ping
    )  # more than the sockets' buffers
    with serving(large, held=40 * MEGABYTE, threads=2) as it:
        files = psutil.Process().num_fds()
        slow = Neighbour(it, 3, receive_buffer=4096)
        slow.get("/large")
        assert eventually(lambda: held(it) >= MEGABYTE)  # the rest is in the sockets
        for _ in range(10):
            Neighbour(it, 2, receive_buffer=4096).get("/large")
        assert it.get("/ping").body == b"pong"
        assert eventually(lambda: 0 < held(it) <= 40 * MEGABYTE)
        assert psutil.Process().num_fds() <= files + 2 * 11, "an answer lies in a file"
        assert len(slow.read_response().body) == 18 * MEGABYTE


def test_a_pause_between_pings_holds_nothing() -> None:
    """Complete messages, and data that is no message, do not count."""
    with serving_ws(Route()) as it:
        client = shaken(it)
        for _ in range(200):
            client.send(frame(b"ping", 9) + frame(b"hello"))
        assert eventually(lambda: held(it) == 0)


def test_few_large_answers_are_made_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def heavy(environ: dict[str, Any]) -> Answer:
        nonlocal running, most
        environ["appliance.heavy"]()
        environ["appliance.heavy"]()  # once is enough
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        if environ["QUERY_STRING"] == "fail":
            raise RuntimeError("a fault of the app's")
        return b"large"

    with serving(app_of(heavy=heavy, ping=ping), threads=12, heavy=3) as it:
        clients = [it.connect() for _ in range(24)]
        for number, client in enumerate(clients):
            client.get("/heavy?fail" if number % 3 else "/heavy")
        statuses = Counter(client.read_response().status for client in clients)
        assert statuses == {200: 8, 500: 16}
        assert most == 3
