"""Which messages of a long chat are sent to the model."""

import itertools

import pytest

from appliance.chat.turns import left_out


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 20, 21, 100])
def test_at_most_so_many_remain_and_the_last_always(most: int) -> None:
    for count in range(1, 500):
        out = left_out(count, most)
        assert 1 <= count - out <= max(most, 1)
        assert out == 0 or count > most


def test_nothing_is_left_out_before_it_must_be() -> None:
    assert [left_out(count, 20) for count in (1, 19, 20)] == [0, 0, 0]


def test_the_rest_begins_with_a_question() -> None:
    """Questions are at even positions, and a turn's last message is a question."""
    for most in (3, 5, 20, 21):
        assert all(left_out(count, most) % 2 == 0 for count in range(1, 200, 2))


def test_the_window_moves_seldom_and_never_back() -> None:
    starts = [left_out(count, 20) for count in range(1, 401, 2)]
    assert starts == sorted(starts)
    moves = sum(a != b for a, b in itertools.pairwise(starts))
    assert moves <= len(starts) / 5 + 1


def test_half_of_the_window_is_always_there() -> None:
    assert all(count - left_out(count, 20) >= 10 for count in range(20, 400))
