"""A limit is never exceeded in any minute, by any number of clients."""

import random
import threading
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.auth.keys.records import Key
from appliance.auth.rate_limiter import BadKeyGuard, RateLimiter, name_of_address


class Clock:
    """A clock in seconds that tests advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def most_in_a_minute(times: list[float]) -> int:
    """The largest number of `times` within any 60 seconds, the end excluded."""
    times = sorted(times)
    return max((sum(t <= other < t + 60 for other in times) for t in times), default=0)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()


def test_the_answer_counts_down_and_says_when() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    assert [limiter.take("a", 3).remaining for _ in range(3)] == [2, 1, 0]
    clock.now += 20.5
    refused = limiter.take("a", 3)
    assert (refused.allowed, refused.limit, refused.remaining) == (False, 3, 0)
    assert refused.retry_after == refused.reset_seconds == 40
    clock.now += refused.retry_after
    assert limiter.take("a", 3).allowed


def test_reset_is_when_all_is_free_again() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    limiter.take("a", 2)
    clock.now += 30
    limiter.take("a", 2)
    refused = limiter.take("a", 2)
    assert (refused.retry_after, refused.reset_seconds) == (30, 60)


def test_others_are_not_counted_together() -> None:
    limiter = RateLimiter(clock=Clock())
    assert limiter.take("a", 1).allowed
    assert not limiter.take("a", 1).allowed
    assert limiter.take("b", 1).allowed


def test_a_lowered_limit_counts_at_once() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    for _ in range(10):
        limiter.take("a", 10)
        clock.now += 1
    refused = limiter.take("a", 2)
    assert not refused.allowed
    clock.now += refused.retry_after
    assert limiter.take("a", 2).allowed
    assert not limiter.take("a", 2).allowed


def test_looking_takes_nothing() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    assert all(limiter.peek("a", 1).allowed for _ in range(5))
    limiter.take("a", 1)
    assert not limiter.peek("a", 1).allowed
    clock.now += 61
    assert limiter.peek("a", 1).allowed
    assert limiter.take("b", 1).allowed


def test_no_limit_is_not_a_limit() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        RateLimiter().take("a", 0)


@given(
    steps=st.lists(st.tuples(st.floats(0, 45), st.integers(0, 5)), max_size=150),
    limit=st.integers(1, 8),
    room=st.integers(1, 3),
)
def test_no_minute_has_one_more(steps: list[tuple[float, int]], limit: int, room: int) -> None:
    """Also when there are more names than are counted separately, and they come and go."""
    clock = Clock()
    limiter = RateLimiter(max_names=room, shared=2, clock=clock)
    let_in: dict[int, list[float]] = {}
    for pause, who in steps:
        clock.now += pause
        for _ in range(3):
            if limiter.take(str(who), limit).allowed:
                let_in.setdefault(who, []).append(clock.now)
    assert all(most_in_a_minute(times) <= limit for times in let_in.values())


def test_sixteen_threads_get_exactly_the_limit() -> None:
    limiter = RateLimiter()
    let_in = [0] * 16

    def work(number: int) -> None:
        let_in[number] = sum(limiter.take("a", 1000).allowed for _ in range(1000))

    began = time.monotonic()
    in_threads(16, work)
    assert time.monotonic() - began < 60, "too slow a machine for one window"
    assert sum(let_in) == 1000


def test_sixteen_threads_over_many_windows() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    lock = threading.Lock()
    let_in: list[float] = []

    def work(number: int) -> None:
        lots = random.Random(number)
        for _ in range(300):
            with lock:
                clock.now += lots.random()
            before = clock.now
            if limiter.take("a", 20).allowed:
                let_in.append(before)

    in_threads(16, work)
    # Each time was taken a little before the limiter's own, by what 15 others added meanwhile.
    assert len(let_in) <= 20 * ((clock.now - 1000) / 60 + 1)
    assert len(let_in) > 20


def test_a_flood_of_addresses_does_not_fill_the_memory() -> None:
    limiter = RateLimiter(clock=Clock())
    for number in range(200_000):
        limiter.take(f"2001:db8:{number:x}::/64", 5)
    assert len(limiter) <= 50_000
    tracemalloc.start()
    try:
        for number in range(200_000, 230_000):
            limiter.take(f"2001:db8:{number:x}::/64", 5)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 100_000


def test_a_flood_gives_nobody_a_fresh_count() -> None:
    limiter = RateLimiter(max_names=100, shared=4, clock=Clock())
    for _ in range(3):
        limiter.take("me", 3)
    for number in range(5000):
        limiter.take(f"flood {number}", 3)
    assert not limiter.take("me", 3).allowed


def test_who_was_let_in_during_a_flood_has_no_second_count_after_it() -> None:
    clock = Clock()
    limiter = RateLimiter(max_names=2, shared=1, clock=clock)
    limiter.take("x", 3)
    limiter.take("y", 3)
    clock.now += 59
    assert [limiter.take("me", 3).allowed for _ in range(4)] == [True, True, True, False]
    clock.now += 2  # x and y are forgotten, so there is room for a separate count
    assert not limiter.take("me", 3).allowed


def test_a_quiet_limiter_forgets() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    for number in range(100):
        limiter.take(str(number), 5)
    clock.now += 61
    for number in range(100, 160):
        limiter.take(str(number), 5)
    assert len(limiter) == 60


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("x" * 10_000, "unknown"),
    ],
)
def test_what_an_address_is_counted_by(address: str, name: str) -> None:
    assert name_of_address(address) == name


# -- wrong keys -----------------------------------------------------------------------------------


def test_ten_wrong_keys_and_then_a_wait() -> None:
    clock = Clock()
    guard = BadKeyGuard(clock=clock)
    for _ in range(10):
        assert guard.judge("10.0.0.1", None) == 0
        clock.now += 1
    assert guard.judge("10.0.0.1", None) == 50
    assert guard.judge("10.0.0.2", None) == 0
    clock.now += 50
    assert guard.judge("10.0.0.1", None) == 0


def key(number: int, *, short: bool = False) -> Key:
    return Key(id=f"key_{number}", name=str(number), prefix="" if short else "apl_", scope="chat")


@pytest.mark.parametrize("wrong", [0, 10, 1000])
def test_a_right_key_never_waits_whatever_else_comes_from_its_address(wrong: int) -> None:
    guard = BadKeyGuard(clock=Clock())
    for _ in range(wrong):
        guard.judge("10.0.0.1", None)
    assert [guard.judge("10.0.0.1", key(number)) for number in range(50)] == [0] * 50


def test_right_keys_give_a_guesser_nothing() -> None:
    guard = BadKeyGuard(clock=Clock())
    waits = []
    for number in range(30):
        guard.judge("10.0.0.1", key(number))
        waits.append(guard.judge("10.0.0.1", None))
    assert waits.count(0) == 10


def test_a_short_key_that_is_guessed_during_the_wait_is_answered_like_a_wrong_one() -> None:
    guard = BadKeyGuard(clock=Clock())
    for _ in range(10):
        guard.judge("10.0.0.1", None)
    assert guard.judge("10.0.0.1", key(1, short=True)) == guard.judge("10.0.0.1", None) == 60


def test_a_short_key_that_worked_before_does_not_wait_for_a_neighbour() -> None:
    guard = BadKeyGuard(clock=Clock())
    assert guard.judge("10.0.0.1", key(1, short=True)) == 0
    for _ in range(50):
        guard.judge("10.0.0.1", None)
    assert guard.judge("10.0.0.1", key(1, short=True)) == 0
    assert guard.judge("10.0.0.1", key(2, short=True)) > 0


def test_sixteen_guessers_share_ten_guesses() -> None:
    guard = BadKeyGuard(clock=Clock())
    answers: list[int] = []
    in_threads(16, lambda _: answers.extend(guard.judge("10.0.0.1", None) for _ in range(200)))
    assert answers.count(0) == 10


def test_addresses_of_one_network_share_their_guesses() -> None:
    guard = BadKeyGuard(clock=Clock())
    waits = [guard.judge(f"2001:db8::{number:x}", None) for number in range(20)]
    assert waits.count(0) == 10
