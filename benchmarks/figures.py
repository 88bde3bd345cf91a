"""The arithmetic: spreads, pairwise ratios, goals. Pure functions, without clock or processes."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of the values of one measure."""

    minimum: float
    median: float
    maximum: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError when there is no value."""
    if not values:
        raise ValueError("no value")
    return Spread(min(values), statistics.median(values), max(values), len(values))


def pairs(
    ours: Sequence[float], theirs: Sequence[float], how: Callable[[float, float], float]
) -> list[float]:
    """`how(ours, theirs)` of neighbouring runs; runs without a counterpart are left out."""
    return [how(a, b) for a, b in zip(ours, theirs, strict=False)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours ÷ theirs, pair by pair; a pair that divides by zero is left out."""
    return [a / b for a, b in zip(ours, theirs, strict=False) if b]


@dataclass(frozen=True)
class Goal:
    """A bound that a median must meet."""

    bound: float
    at_most: bool

    def met(self, value: float) -> bool:
        """The bound itself is good enough."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


def at_least(bound: float) -> Goal:
    """More is better."""
    return Goal(bound, at_most=False)


def at_most(bound: float) -> Goal:
    """Less is better."""
    return Goal(bound, at_most=True)


@dataclass(frozen=True)
class Measure:
    """A measured quantity: the values of each participant's runs."""

    name: str
    unit: str
    values: dict[str, list[float]]


@dataclass(frozen=True)
class Verdict:
    """A figure and its goal; `met` is None without a goal, and False when nothing was measured."""

    name: str
    values: list[float]
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median meets the goal."""
        if self.goal is None:
            return None
        return bool(self.values) and self.goal.met(statistics.median(self.values))


@dataclass
class Row:
    """One line of the list of goals."""

    number: int
    title: str
    settings: str
    measures: list[Measure] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """How long the measurement took."""
