"""Which messages of a chat are left out when it is longer than the context. Pure Python.

Where the rest may begin depends on the messages before that place alone, and there are few such
places: the same one is found turn after turn, and what the model has read stays of use.
"""

from collections.abc import Callable, Sequence

from appliance.engine.types import ChatMessage

AROUND = 8
"""Tokens that a template may put around a message."""


def cut_points(
    messages: Sequence[ChatMessage], step: int, count: Callable[[str], int]
) -> list[int]:
    """Where the messages may be cut, nearest first: at questions, `step` tokens or more apart, and
    at the last question.

    Args:
        messages: without the system message.
        step: tokens between two cut points, at least.
        count: gives the number of tokens of a text.
    """
    found: list[int] = []
    since = 0
    last = 0
    for index, message in enumerate(messages):
        if index and message.role == "user":
            last = index
            if since >= step:
                found.append(index)
                since = 0
        since += count(message.content) + AROUND
    if last and found[-1:] != [last]:
        found.append(last)
    return found
