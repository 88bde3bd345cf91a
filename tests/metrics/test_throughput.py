"""Throughput of the last seconds."""

import pytest

from appliance.metrics.throughput import REPLIES, WINDOW_SECONDS, Throughput


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_empty_measurement_has_no_speed(clock: Clock) -> None:
    recent = Throughput(clock)
    assert recent.tokens_per_second == 0
    assert recent.first_token_seconds is None


def test_speed_is_that_of_the_time_in_which_something_was_written(clock: Clock) -> None:
    recent = Throughput(clock)
    for _ in range(10):
        began = clock.now
        clock.now += 0.05
        recent.further(1, began)
    clock.now += 3  # no requests
    assert recent.tokens_per_second == pytest.approx(20)


def test_replies_that_are_written_together_are_faster_together(clock: Clock) -> None:
    recent = Throughput(clock)
    for _ in range(10):
        began = clock.now
        clock.now += 0.05
        for _ in range(8):
            recent.further(1, began)
    assert recent.tokens_per_second == pytest.approx(160)


def test_what_is_long_past_does_not_count(clock: Clock) -> None:
    recent = Throughput(clock)
    clock.now += 0.5
    recent.further(100, clock.now - 0.5)
    assert recent.tokens_per_second == pytest.approx(200)
    clock.now += WINDOW_SECONDS + 1
    assert recent.tokens_per_second == 0


def test_the_time_to_the_first_token_is_the_median_of_the_last_replies() -> None:
    recent = Throughput()
    recent.first(100.0)
    for seconds in [0.1, 0.2, 0.3, 9.0] * (REPLIES // 4):
        recent.first(seconds)
    assert recent.first_token_seconds == pytest.approx(0.25)
