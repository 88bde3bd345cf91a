"""No grammar, schema or bias crashes or stalls a worker: other replies stay complete."""

from collections import Counter

import psutil
import pytest

from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Failed, Finished
from appliance.engine.types import SamplingParams
from tests.engine.conftest import real_engine
from tests.engine.engine_client import CollectedReply
from tests.worker.constraints import hostile

TOGETHER = 6
NEIGHBOUR = SamplingParams(temperature=0, max_tokens=150, ignore_eos=True)
GROWTH = 100 * 2**20
"""Permitted growth of the worker's memory, in bytes."""


def worker_of(engine: LocalEngine) -> psutil.Process:
    assert engine.worker_pid
    return psutil.Process(engine.worker_pid)


def how(end: Finished | Failed, number: int) -> str:
    """A request ended; a refusal names its field."""
    if isinstance(end, Finished):
        return end.reason
    if end.code == "unavailable":  # the machine had no time for its grammar
        return "busy"
    assert end.code == "invalid_request", (end, number)
    assert end.param in ("grammar", "response_format", "logit_bias"), end
    assert "\n" not in end.message
    return "refused"


def storm(numbers: range) -> None:
    engine = real_engine(n_ctx=4096)
    engine.start()
    assert engine.wait_ready(180)
    neighbours = [CollectedReply(engine, "Once upon a time", NEIGHBOUR) for _ in range(2)]
    done: list[CollectedReply] = []
    # The first grammar allocates what every grammar needs.
    CollectedReply(engine, "x", SamplingParams(json_schema="{}", max_tokens=4)).wait()
    worker = worker_of(engine)
    before = worker.memory_info().rss
    ends = Counter[str]()
    waiting: list[CollectedReply] = []
    for number in [*numbers, *[None] * TOGETHER]:
        if number is not None:
            waiting.append(CollectedReply(engine, f"{number}:", hostile.sampling(number)))
        if len(waiting) > TOGETHER or number is None:
            (end,) = waiting.pop(0).wait().terminals
            ends[how(end, number)] += 1
        for reply in [reply for reply in neighbours if reply.ended.is_set()]:
            neighbours.remove(reply)
            neighbours.append(CollectedReply(engine, "Once upon a time", NEIGHBOUR))
            done.append(reply)
    done += [reply.wait() for reply in neighbours]
    assert all(reply.finished.completion_tokens == NEIGHBOUR.max_tokens for reply in done)
    assert ends.total() == len(numbers)
    assert min(ends["refused"], ends["stop"], ends["length"]) > 0, ends
    assert engine.state.restarts == 0
    assert worker.is_running()
    assert worker.memory_info().rss - before < GROWTH
    print(f"{dict(ends)}; the worker grew by {(worker.memory_info().rss - before) / 2**20:.0f} MB")
    engine.close()


def test_two_hundred() -> None:
    storm(range(200))


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
def test_twenty_thousand(part: int) -> None:
    """In parts of some minutes each."""
    storm(range(5000 * part, 5000 * (part + 1)))
