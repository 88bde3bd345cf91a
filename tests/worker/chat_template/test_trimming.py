"""Which messages are dropped when a chat is longer than the context."""

import itertools

from appliance.engine.types import ChatMessage
from appliance.worker.chat_template.trimming import AROUND, cut_points


def talk(count: int, size: int) -> list[ChatMessage]:
    return [ChatMessage(("user", "assistant")[i % 2], "x" * size) for i in range(count)]


def test_beginnings_are_questions_and_the_last_one_is_among_them() -> None:
    messages = talk(21, 10)
    found = cut_points(messages, 50, len)
    assert found[-1] == 20
    assert found == sorted(set(found))
    assert all(messages[place].role == "user" for place in found)


def test_the_same_beginnings_turn_after_turn() -> None:
    """Later messages move no beginning: except for the last, beginnings are only added."""
    before: list[int] = []
    for count in range(1, 101, 2):
        found = cut_points(talk(count, 30), 200, len)
        assert found[: len(before)] == before
        before = found[:-1] if found and found[-1] == count - 1 else found


def test_beginnings_are_apart() -> None:
    found = [0, *cut_points(talk(101, 30), 200, len)[:-1]]
    sizes = [(b - a) * (30 + AROUND) for a, b in itertools.pairwise(found)]
    assert all(200 <= size < 200 + 2 * (30 + AROUND) for size in sizes)


def test_a_single_question_has_no_other_beginning() -> None:
    assert cut_points(talk(1, 1000), 50, len) == []
    assert cut_points([], 50, len) == []
