"""Room for requests, shared by those who ask. Pure Python, for both sides of the engine."""

from collections.abc import Sequence


def is_full(owners: Sequence[str], owner: str, most: int) -> bool:
    """Whether there is no room for one more request of `owner`.

    Whoever has less than an equal share still finds room beyond `most`, up to twice as much: so
    nobody can fill it up for others.

    Args:
        owners: whose the requests are that have not ended, one entry each.
        owner: who asks now.
        most: requests that there is room for.
    """
    if len(owners) < most:
        return False
    share = most // len({*owners, owner})
    return owners.count(owner) >= share or len(owners) >= 2 * most
