"""A sequence that is to be reproducible has the same steps, whoever runs beside it."""

import itertools

import pytest

from tests.worker.scheduler.loop import Loop, reply, sequence

PROMPT = "x" * 300


def steps_of(loop: Loop, *others: str, before: str = "") -> list[tuple[int, int]]:
    """First token and number of tokens of each of its steps, which nothing else is in."""
    if before:
        loop.run(sequence(99, before))
    for number, prompt in enumerate(others):
        loop.scheduler.add(sequence(number, prompt, limit=30))
    exact = sequence(50, PROMPT, alone=True)
    loop.scheduler.add(exact)
    for number, prompt in enumerate(others, 60):
        loop.scheduler.add(sequence(number, prompt, limit=30))
    steps = []
    while not loop.scheduler.idle:
        batch = loop.step()
        if any(one is exact for one, _ in batch.parts):
            ((_, count),) = batch.parts
            steps.append((batch.positions[0], count))
    assert exact in loop.done
    assert exact.n_cached == 0
    return steps


@pytest.mark.parametrize("partitioned", [True, False])
@pytest.mark.parametrize("singly", [True, False])
def test_its_steps_are_the_same_whatever_else_there_is(partitioned: bool, singly: bool) -> None:
    def loop() -> Loop:
        return Loop(
            n_cells=2000, n_batch=512, partitioned=partitioned, singly=singly, memory_bytes=10**6
        )

    alone = steps_of(loop())
    assert alone == [(0, 128), (128, 128), (256, 44), (300, 1), (301, 1), (302, 1)]
    assert steps_of(loop(), "a" * 200, "b", "c" * 90) == alone
    assert steps_of(loop(), PROMPT, before=PROMPT) == alone
    assert steps_of(loop(), before=PROMPT + "y" * 20) == alone


def test_others_have_every_other_step_at_least() -> None:
    loop = Loop(n_cells=2000, n_batch=512, partitioned=True)
    loop.scheduler.add(sequence(1, "a", limit=40))
    loop.scheduler.add(sequence(2, PROMPT, limit=40, alone=True))
    loop.scheduler.add(sequence(3, PROMPT, limit=40, alone=True))
    ids = []
    while not loop.scheduler.idle:
        ids.append([one.id for one, _ in loop.step().parts])
    assert ids[:6] in ([[2], [1], [3], [1], [2], [1]], [[3], [1], [2], [1], [3], [1]])
    assert all([1] in pair for pair in itertools.pairwise(ids[:76]))


def test_where_cells_are_shared_it_has_them_for_itself_from_the_first_on() -> None:
    loop = Loop(n_cells=2000, n_batch=512, memory_bytes=10**6)
    loop.run(sequence(1, "a" * 100))
    loop.scheduler.add(sequence(2, "b", limit=20))
    loop.scheduler.add(sequence(3, PROMPT, alone=True))
    loop.scheduler.add(sequence(4, "c"))
    seen = []
    while not loop.scheduler.idle:
        batch = loop.step()
        ids = [one.id for one, _ in batch.parts]
        seen += ids
        if ids == [3]:
            assert loop.runner.held() <= len(PROMPT) + 4
    assert seen.index(3) > max(i for i, id in enumerate(seen) if id == 2)
    assert seen.index(4) > max(i for i, id in enumerate(seen) if id == 3)


@pytest.mark.parametrize("partitioned", [True, False])
def test_what_it_computed_is_found_by_its_like_alone(partitioned: bool) -> None:
    """As far as they have the same steps: not its prompt's last, nor its reply."""
    loop = Loop(n_cells=2000, n_batch=512, partitioned=partitioned, memory_bytes=10**6)
    first = sequence(1, PROMPT, alone=True)
    loop.run(first)
    another = sequence(2, PROMPT)
    loop.run(another)
    assert another.n_cached == 0
    assert reply(another) == reply(first)
    follows = sequence(3, PROMPT + "y" * 300, alone=True)
    loop.scheduler.add(follows)
    steps = []
    while not loop.scheduler.idle:
        batch = loop.step()
        steps.append((batch.positions[0], len(batch.tokens)))
    assert follows.n_cached == 256
    assert steps[:4] == [(256, 128), (384, 128), (512, 88), (600, 1)]
    shorter = sequence(4, PROMPT[:200], alone=True)
    loop.run(shorter)
    assert shorter.n_cached == 128
    whole = sequence(5, PROMPT + "y" * 84, alone=True)
    loop.run(whole)
    assert whole.n_cached == 256  # its last token is computed in any case
