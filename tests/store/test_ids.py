"""Ids are unique and sort by creation time."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from appliance.store.ids import TimeOrderedIds

TIMES = st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=200)


@given(TIMES)
def test_they_ascend_whatever_the_clock_does(times: list[int]) -> None:
    clock = iter(times)
    new_id = TimeOrderedIds(lambda: next(clock))
    made = [new_id() for _ in times]
    assert made == sorted(set(made))


def test_they_carry_their_time_and_are_valid_version_7() -> None:
    made = uuid.UUID(TimeOrderedIds(lambda: 0x0198_C0DE_7A3B)())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 0x0198_C0DE_7A3B


def test_threads_share_one_maker() -> None:
    new_id = TimeOrderedIds(lambda: 1)
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [new_id() for _ in range(500)], range(8)))
    assert len({one for batch in batches for one in batch}) == 8 * 500


def test_two_makers_at_the_same_time_do_not_meet() -> None:
    makers = [TimeOrderedIds(lambda: 1) for _ in range(1_000)]
    assert len({new_id() for new_id in makers}) == 1_000
