"""The thread governor on simulated machines: near the best fixed setting under any other load."""

import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.worker.scheduler.thread_governor import Kind, ThreadGovernor

Busy = Callable[[float], int]
"""Cores that other programs use, by time."""


class Machine:
    """Simulates the step times of a machine with a spinning barrier.

    One thread on a core that is its own: 17 ms a token. Threads that must share a core with another
    program hold up all the others: `penalty` times the time of a machine that is free.
    """

    def __init__(self, cores: int, busy: Busy, *, penalty: float = 5.0, noise: float = 0.1) -> None:
        self.now = 0.0
        self.cores = cores
        self.busy = busy
        self.penalty = penalty
        self.noise = noise
        self.random = random.Random(7)

    def seconds(self, threads: int, tokens: int) -> float:
        ideal = 0.017 * math.pow(tokens, 0.7) / math.pow(threads, 0.85)
        if threads + self.busy(self.now) > self.cores:
            ideal *= self.penalty if threads > 1 else 1.0
        hiccup = 4.0 if self.random.random() < 0.01 else 1.0
        return ideal * self.random.uniform(1 - self.noise, 1 + self.noise) * hiccup

    def run(
        self,
        threads: Callable[[], int],
        until: float,
        *,
        tokens: int = 1,
        report: Callable[[int, float], None] = lambda tokens, seconds: None,
    ) -> float:
        """Tokens a second until that time."""
        began, done = self.now, 0
        while self.now < until:
            seconds = self.seconds(threads(), tokens)
            self.now += seconds
            done += tokens
            report(tokens, seconds)
        return done / (self.now - began)


class Governed:
    def __init__(self, cores: int, busy: Busy, **machine: float) -> None:
        self.machine = Machine(cores, busy, **machine)
        self.governor = ThreadGovernor(cores, cores, lambda: self.machine.now)
        self.seen: list[tuple[float, int]] = []

    def run(self, until: float, tokens: int = 1, kind: Kind = "decode") -> float:
        def suggested() -> int:
            threads = self.governor.suggest(kind)
            self.seen.append((self.machine.now, threads))
            return threads

        def report(tokens: int, seconds: float) -> None:
            self.governor.observe(kind, tokens, seconds)

        return self.machine.run(suggested, until, tokens=tokens, report=report)

    def share(self, threads: int, begin: float, end: float) -> float:
        """The fraction of the steps in that time with that many threads."""
        steps = [count for at, count in self.seen if begin <= at < end]
        return steps.count(threads) / len(steps)


def fixed(threads: int, cores: int, busy: Busy, until: float, **machine: float) -> float:
    return Machine(cores, busy, **machine).run(lambda: threads, until)


def best_fixed(cores: int, busy: Busy, until: float, **machine: float) -> float:
    return max(fixed(n, cores, busy, until, **machine) for n in range(1, cores + 1))


@pytest.mark.parametrize("cores", [2, 4, 8])
@pytest.mark.parametrize("tokens", [1, 8])
def test_idle_machine_costs_almost_nothing(cores: int, tokens: int) -> None:
    governed = Governed(cores, lambda now: 0)
    best = Machine(cores, lambda now: 0).run(lambda: cores, 60, tokens=tokens)
    assert governed.run(60, tokens) >= 0.95 * best


@pytest.mark.parametrize("penalty", [3.0, 5.0, 8.0])
@pytest.mark.parametrize(("cores", "busy"), [(2, 1), (4, 1), (8, 1), (8, 4)])
def test_busy_machine_is_near_its_best(cores: int, busy: int, penalty: float) -> None:
    governed = Governed(cores, lambda now: busy, penalty=penalty)
    best = best_fixed(cores, lambda now: busy, 60, penalty=penalty)
    governed.run(5)
    assert governed.run(60) >= 0.9 * best


@pytest.mark.parametrize("penalty", [3.0, 5.0, 8.0])
def test_gives_way_within_a_second_and_comes_back(penalty: float) -> None:
    governed = Governed(2, lambda now: int(20 <= now < 40), penalty=penalty)
    governed.run(60)
    assert governed.share(2, 10, 20) >= 0.9
    assert governed.share(1, 21, 40) >= 0.9
    assert governed.share(2, 50, 60) >= 0.9


@pytest.mark.parametrize("penalty", [5.0, 20.0])
def test_a_machine_that_is_busy_from_the_start_is_seen_at_once(penalty: float) -> None:
    """The speed with all threads is unknown then."""
    governed = Governed(2, lambda now: 1, penalty=penalty)
    best = fixed(1, 2, lambda now: 1, 60, penalty=penalty)
    assert governed.run(2) >= 0.7 * best


def test_the_first_prompts_are_read_by_all_cores() -> None:
    """A probe would cost the first request half a second."""
    governed = Governed(2, lambda now: 0)
    governed.run(20.0, tokens=512, kind="prefill")
    assert {threads for _, threads in governed.seen} == {2}


def test_all_cores_taken_is_no_reason_for_none() -> None:
    governed = Governed(4, lambda now: 4)
    governed.run(30)
    assert {threads for _, threads in governed.seen} <= {1, 2, 3, 4}


@pytest.mark.parametrize("period", [0.5, 1.0, 3.0])
def test_does_not_thrash(period: float) -> None:
    def busy(now: float) -> int:
        return int(now / period) % 2

    governed = Governed(2, busy)
    rate = governed.run(60)
    counts = [threads for _, threads in governed.seen]
    changes = sum(a != b for a, b in itertools.pairwise(counts))
    assert changes / 60 <= 3
    assert rate >= 0.8 * best_fixed(2, busy, 60)


def test_noise_is_no_reason_to_stay_away() -> None:
    governed = Governed(2, lambda now: 0, noise=0.3)
    best = fixed(2, 2, lambda now: 0, 60, noise=0.3)
    assert governed.run(60) >= 0.93 * best


def test_growing_context_is_not_another_program() -> None:
    machine = Machine(2, lambda now: 0)
    governor = ThreadGovernor(2, 2, lambda: machine.now)
    counts = []
    for step in range(4000):
        threads = governor.suggest("decode")
        counts.append(threads)
        seconds = machine.seconds(threads, 1) * (1 + step / 1000)
        machine.now += seconds
        governor.observe("decode", 1, seconds)
    assert counts.count(2) / len(counts) >= 0.93


def test_sizes_that_alternate_are_not_compared() -> None:
    machine = Machine(2, lambda now: 0)
    governor = ThreadGovernor(2, 2, lambda: machine.now)
    counts = []
    for step in range(4000):
        tokens = 8 if step % 2 else 1
        threads = governor.suggest("decode")
        counts.append(threads)
        seconds = machine.seconds(threads, tokens)
        machine.now += seconds
        governor.observe("decode", tokens, seconds)
    assert counts.count(2) / len(counts) >= 0.93


def test_kinds_do_not_disturb_each_other() -> None:
    governed = Governed(2, lambda now: 1)
    governed.run(20)
    assert governed.governor.suggest("decode") == 1
    assert governed.governor.suggest("prefill") == 2


@given(
    cores=st.integers(0, 64),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["decode", "prefill"]),
            st.integers(-1, 4096),
            st.floats(allow_nan=True, allow_infinity=True),
        )
    ),
)
def test_any_times_give_a_possible_count(cores: int, steps: list[tuple[Kind, int, float]]) -> None:
    now = 0.0
    governor = ThreadGovernor(cores, cores, lambda: now)
    for kind, tokens, seconds in steps:
        governor.observe(kind, tokens, seconds)
        now += 0.3
        assert 1 <= governor.suggest(kind) <= max(1, cores)
