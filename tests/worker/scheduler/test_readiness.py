"""A sequence whose grammar is still computing its next tokens does not delay others."""

from tests.worker.scheduler.loop import Loop, Silent, sequence


class Slow(Silent):
    """Its permitted next tokens aren't known yet."""

    ready = False


def decoding(loop: Loop, id: int, *, ready: bool) -> None:
    found = sequence(id, f"{id}{'x' * 5}", limit=100)
    loop.scheduler.add(found)
    loop.step()
    if not ready:
        found.sampler = Slow()


def test_it_misses_a_step_while_others_have_one() -> None:
    loop = Loop()
    decoding(loop, 1, ready=True)
    decoding(loop, 2, ready=False)
    assert [s.id for s, _ in loop.step().parts] == [1]
    loop.scheduler.add(sequence(3, "3" * 40, limit=100))
    assert [s.id for s, _ in loop.step().parts] == [1, 3]


def test_alone_it_is_waited_for() -> None:
    loop = Loop()
    decoding(loop, 1, ready=False)
    assert [s.id for s, _ in loop.step().parts] == [1]


def test_it_does_not_slow_down_a_prompt() -> None:
    loop = Loop()
    decoding(loop, 1, ready=False)
    loop.scheduler.add(sequence(2, "2" * 40, limit=100))
    assert [s.id for s, _ in loop.step().parts] == [2]
