"""The number of threads of the next step: all cores, unless other programs use some of them.

Threads of a step meet at a barrier some hundred times a token. When another program takes a core,
all of them wait at each for the one that is not running, and fewer threads are faster by far:
twenty times and more with ggml's own threads, which never yield while they wait. Step times show
it: a jump makes the governor try fewer at once; later it probes at times whether the cores are free
again. What a probe costs decides how soon the next one comes, so probing never takes more than a
small part of the time.

Pure: it measures nothing itself. Belongs to the step loop.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["decode", "prefill"]

WINDOW_STEPS, WINDOW_SECONDS = 4, 0.3
"""How many steps, or how long, make a figure."""
JUMP = 0.75
"""A fraction of the usual rate; below it, fewer threads are tried."""
BETTER = 1.08
"""What a change must gain."""
HOPELESS = 0.6
"""A fraction of the previous rate; a first step below it ends a trial."""
PROBE_SHARE, PROBE_SHARE_AT_MOST = 0.02, 0.005
"""Part of the time that may be lost by probing; the same while all cores are in use, when a jump
shows most of what there is to know."""
SOONEST, LATEST_BELOW, LATEST = 1.0, 4.0, 60.0
"""Seconds of steps between two probes: at the soonest; at the latest as long as threads are fewer
than there are cores, if a probe costs little; at the latest."""
REGRET_SECONDS = 4.0
"""A change that is taken back within this time makes the next probe come later."""
FALL, RISE = 0.05, 0.5
"""How fast the usual rate follows what is seen: contexts grow, and steps get slower with them."""


class ThreadGovernor:
    """Decides for decode and prefill apart: a long step meets few barriers for its length.

    A step that has both is the kind that has more tokens. llama.cpp itself knows only whether a
    batch has one token, so give what `suggest` says as both of its thread counts.
    """

    def __init__(
        self, decode: int, prefill: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`decode`, `prefill`: the most threads that make sense, such as physical cores."""
        self._gears: dict[Kind, _ThreadController] = {
            "decode": _ThreadController(max(1, decode), clock, next_probe=0.0),
            "prefill": _ThreadController(max(1, prefill), clock),
        }

    def suggest(self, kind: Kind) -> int:
        """Threads for the next step of that kind, from 1 on."""
        return self._gears[kind].threads

    def observe(self, kind: Kind, tokens: int, seconds: float) -> None:
        """A step of `tokens` took `seconds` with what was suggested for it last."""
        if tokens > 0 and 0 < seconds < math.inf:
            self._gears[kind].observe(tokens, seconds)


@dataclass(slots=True)
class _Window:
    """Steps of one thread count and size."""

    rates: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, rate: float, seconds: float) -> None:
        self.rates.append(rate)
        self.seconds += seconds

    @property
    def full(self) -> bool:
        return len(self.rates) >= WINDOW_STEPS or self.seconds >= WINDOW_SECONDS

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


@dataclass(slots=True)
class _Trial:
    """Another thread count, tried for a window."""

    home: int
    """Threads before."""
    size: int
    rate: float
    """The rate of steps of that size with those threads."""
    others: list[int]
    """What to try if this doesn't help."""
    window: _Window = field(default_factory=_Window)
    lost: float = 0.0
    """Seconds that it cost."""
    strange: int = 0
    """Steps of other sizes meanwhile."""


class _ThreadController:
    """Threads for one kind of step. Steps are compared with steps of about their size only."""

    def __init__(
        self, most: int, clock: Callable[[], float], next_probe: float | None = None
    ) -> None:
        """`next_probe`: seconds of steps before the first. At once is for short steps: what is
        usual may be that of a busy machine. None: what a probe costs decides that, too."""
        self._most = most
        self._clock = clock
        self.threads = most
        self._usual: dict[tuple[int, int], float] = {}
        self._windows: dict[int, _Window] = {}
        self._trial: _Trial | None = None
        self._wait = SOONEST
        self._worked = 0.0
        """Seconds of steps so far; in idle time nothing is lost, and nothing is to be seen."""
        self._next_probe = next_probe
        self._last_change: tuple[float, bool] | None = None
        self._all_at_once = False

    def observe(self, tokens: int, seconds: float) -> None:
        if self._most == 1:
            return
        self._worked += seconds
        size = tokens.bit_length()
        if self._trial:
            self._try(self._trial, size, tokens / seconds, seconds)
        else:
            self._watch(size, tokens / seconds, seconds)

    # -- usual -------------------------------------------------------------------------------------

    def _watch(self, size: int, rate: float, seconds: float) -> None:
        window = self._windows.setdefault(size, _Window())
        window.add(rate, seconds)
        if not window.full:
            return
        del self._windows[size]
        here = (self.threads, size)
        usual = self._usual.setdefault(here, window.rate)
        if window.rate < JUMP * usual:
            self._usual[here] = (
                window.rate
            )  # if threads are not the reason, it is what is usual now
            if self.threads > 1:
                self._begin(size, window.rate, self._fewer())
                return
        self._usual[here] += (window.rate - usual) * (FALL if window.rate < usual else RISE)
        if self._next_probe is None:
            # A step with half the threads takes twice as long: so much is lost before that is seen.
            lost = window.seconds / len(window.rates)
            self._next_probe = self._worked + min(LATEST, lost / PROBE_SHARE_AT_MOST)
        if self._worked >= self._next_probe:
            self._begin(size, window.rate, self._probe())

    def _fewer(self) -> list[int]:
        """One less, for one busy core; half, for many."""
        return list(dict.fromkeys((self.threads - 1, max(1, self.threads // 2))))

    def _probe(self) -> list[int]:
        if self.threads == self._most:
            return self._fewer()
        self._all_at_once = not self._all_at_once
        return [self._most if self._all_at_once else self.threads + 1]

    # -- trials ------------------------------------------------------------------------------------

    def _begin(self, size: int, rate: float, counts: list[int]) -> None:
        self._trial = _Trial(self.threads, size, rate, counts[1:])
        self.threads = counts[0]

    def _try(self, trial: _Trial, size: int, rate: float, seconds: float) -> None:
        if size != trial.size:
            trial.strange += 1
            if trial.strange > WINDOW_STEPS:
                self._give_up(trial)
            return
        trial.window.add(rate, seconds)
        trial.lost += max(0.0, seconds * (1 - rate / trial.rate))
        hopeless = rate < HOPELESS * trial.rate
        if not (trial.window.full or hopeless):
            return
        if not hopeless and trial.window.rate > BETTER * trial.rate:
            self._change(trial)
        elif trial.others:
            self.threads = trial.others.pop(0)
            trial.window = _Window()
        else:
            self._give_up(trial)

    def _give_up(self, trial: _Trial) -> None:
        self.threads = trial.home
        latest = LATEST if self.threads == self._most else LATEST_BELOW
        self._wait = min(latest, self._wait * 1.5)
        self._end(trial)

    def _change(self, trial: _Trial) -> None:
        upwards = self.threads > trial.home
        now = self._clock()
        last, was_upwards = self._last_change or (-math.inf, upwards)
        regretted = now - last < REGRET_SECONDS and upwards != was_upwards
        self._wait = min(LATEST_BELOW, self._wait * 2) if regretted else SOONEST
        self._last_change = (now, upwards)
        self._usual[self.threads, trial.size] = trial.window.rate
        self._end(trial)

    def _end(self, trial: _Trial) -> None:
        """The next look comes the later, the more this one cost."""
        self._trial = None
        self._windows.clear()
        share = PROBE_SHARE_AT_MOST if self.threads == self._most else PROBE_SHARE
        wait = min(LATEST, max(self._wait, trial.lost / share))
        self._next_probe = self._worked + wait
