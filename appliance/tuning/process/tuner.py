"""Tries layouts and settings of a model, one beside the other.

A challenger runs beside the best so far, in turns, so that whatever else the machine does meets
both. The gain is the median of what each round says.
"""

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from appliance.system.cpu import physical_cores, processor
from appliance.tuning.process.bench import (
    EARLY_FACTOR,
    MIN_ROUNDS,
    Bench,
    Fidelity,
    Weights,
    median_of,
    sure_gain,
)
from appliance.tuning.process.calibration_text import TEXT
from appliance.tuning.process.weight_types import (
    MAX_GROWTH,
    WeightType,
    faithful,
    lossy,
    rewrite,
    size_of,
)
from appliance.tuning.profile import (
    BUSY,
    MIN_GAIN,
    NO_TIME,
    Best,
    MeasuredSpeed,
    Setting,
    TuningTrial,
    acceptable,
    score,
)
from appliance.tuning.protocol import (
    Measure,
    Measured,
    Tried,
    TuneRequest,
    TuningEvent,
    TuningProgress,
)
from appliance.worker.runners.base import LoadError

ROUNDS = 5
UNTRUE = "not true to the original"
HOPELESS = 0.97
"""Who was never better than this in two rounds is not measured further."""
N_UBATCH = 512
REWRITTEN_PER_SECOND = 20_000_000
"""Weights a core rewrites to Q8_0 in a second, until it is known; half of what was seen."""
MIN_TOKENS, MAX_TOKENS = 384, 1280
FIDELITY_SHARE = 0.1
"""The fraction of the time for evaluating the text once; a slow model evaluates its beginning."""
MEMORY_FACTOR = 2.2
"""Memory of a loaded model beside its file's size: repacked weights are a copy."""


def measured(request: Measure) -> Measured:
    """Load a file, measure it, and let it go.

    Raises:
        LoadError: the file cannot be loaded, or not in that setting.
    """
    weights = Weights(Path(request.file))
    setting = request.setting or usual(physical_cores())
    bench = Bench(weights, setting)
    ring = _repeat_to_length(weights.tokenize(TEXT))
    size = bench.warm_up(ring)
    speeds = [bench.measure(ring, size) for _ in range(request.rounds)]
    found = Measured(median_of(speeds), setting, weights.ftype)
    bench.close()
    weights.close()
    return found


def usual(cores: int) -> Setting:
    """What a model is run with that was not tuned."""
    return Setting(n_threads=cores, n_threads_batch=cores, n_ubatch=N_UBATCH)


def _repeat_to_length(tokens: list[int]) -> list[int]:
    """A vocabulary of few pieces makes many tokens of a text, one of many makes few."""
    return (tokens * 12)[:1024] if len(tokens) < 1024 else tokens


class Tuner:
    """One run. Holds the original and the best so far, and a challenger at times."""

    def __init__(self, request: TuneRequest, send: Callable[[TuningEvent], None]) -> None:
        self._request = request
        self._send = send
        self._deadline = time.monotonic() + request.seconds
        self._source = Path(request.model)
        self._cores = physical_cores()
        self._pace = float(REWRITTEN_PER_SECOND * self._cores)
        self._last_kl: float | None = None

    def run(self) -> None:
        """Everything, in the order of what it promises.

        Raises:
            LoadError: the model cannot be loaded as it was shipped.
        """
        self._send(TuningProgress("measuring the model as shipped"))
        self._original = self._weights = Weights(self._source)
        size = self._source.stat().st_size
        self._shipped = (self._original.ftype, size, self._original.n_params)
        tokens = self._original.tokenize(TEXT)
        self._tokens = tokens[: max(1, min(MAX_TOKENS, self._original.n_ctx_train - 1))]
        self._setting = usual(self._cores)
        self._file = ""
        self._base = self._bench = Bench(self._weights, self._setting)
        self._ring = _repeat_to_length(self._tokens)
        self._size = self._base.warm_up(self._ring)
        began = time.monotonic()
        first = self._base.measure(self._ring, self._size)
        self._round_seconds = time.monotonic() - began
        self._send(Best(setting=self._setting, speed=first, shipped=first, kl=0.0))
        enough = int(FIDELITY_SHARE * self._request.seconds * first.prefill)
        self._tokens = self._tokens[: max(MIN_TOKENS, enough)]
        if not self._time_for(3 * len(self._tokens) / first.prefill):
            self._verdict("anything else", NO_TIME)
            return
        began = time.monotonic()
        self._fidelity = Fidelity(self._base, self._tokens, self._original.n_vocab)
        self._fidelity_seconds = time.monotonic() - began
        self._try_faithful()
        self._try_settings()
        self._try_lossy()

    # -- candidates --------------------------------------------------------------------------------

    def _try_faithful(self) -> None:
        for layout in faithful(*self._shipped):
            self._try_layout(layout)

    def _try_lossy(self) -> None:
        """Most bits first: where these lose too much, fewer bits lose more."""
        for layout in lossy(*self._shipped):
            kl = self._try_layout(layout)
            if kl is not None and kl > EARLY_FACTOR * self._request.max_kl:
                return

    def _try_layout(self, layout: WeightType) -> float | None:
        """Its divergence, if it came to that."""
        name = f"weights {layout.name}"
        _, size, n_params = self._shipped
        fault = self._no_room(size, size_of(layout, n_params))
        if fault:
            self._verdict(name, fault)
            return None
        if not self._time_for(
            layout.effort * n_params / self._pace
            + self._fidelity_seconds
            + MIN_ROUNDS * 2 * self._round_seconds
        ):
            self._verdict(name, NO_TIME)
            return None
        self._send(TuningProgress(f"rewriting the weights to {layout.name}"))
        began = time.monotonic()
        file = Path(self._request.folder) / f"{layout.name}.gguf"
        kl = None
        if rewrite(self._source, file, layout, self._cores):
            self._pace = layout.effort * n_params / (time.monotonic() - began)
            kl = self._try_file(name, layout, file, size)
        else:
            self._verdict(name, "llama.cpp cannot make it")
        if self._file != file.name:
            file.unlink(missing_ok=True)
        return kl

    def _try_file(self, name: str, layout: WeightType, file: Path, size: int) -> float | None:
        if file.stat().st_size > MAX_GROWTH * size:
            self._verdict(name, "too large")
            return None
        setting = msgspec.structs.replace(self._setting, layout=layout.name)
        try:
            weights = Weights(file)
        except LoadError as ex:
            self._verdict(name, str(ex))
            return None
        self._last_kl = None
        if self._challenge(name, weights, setting, file.name, fidelity_first=True):
            if self._weights is not self._original:
                self._weights.close()
                (Path(self._request.folder) / self._file).unlink(missing_ok=True)
            self._weights, self._file = weights, file.name
        else:
            weights.close()
        return self._last_kl

    def _try_settings(self) -> None:
        """One thing at a time, beside the best so far."""
        for name, changes in self._changes():
            if "n_threads" in changes and self._base.disturbed:
                # Fewer threads look better as long as others want the cores, and not after that.
                self._verdict(name, BUSY)
                continue
            cost = 3 * self._round_seconds * MIN_ROUNDS + self._fidelity_seconds
            if self._time_for(cost):
                setting = msgspec.structs.replace(self._setting, **changes)
                self._challenge(name, self._weights, setting, self._file, fidelity_first=False)
            else:
                self._verdict(name, NO_TIME)

    def _changes(self) -> list[tuple[str, dict[str, object]]]:
        changes: list[tuple[str, dict[str, object]]]
        changes = [("no flash attention", {"flash_attn": "off"})]
        changes += [
            (f"n_ubatch {n}", {"n_ubatch": n}) for n in (256, 128) if n < self._size.prefill
        ]
        logical = processor().threads
        if logical > self._cores:
            changes.append((f"{logical} threads for prompts", {"n_threads_batch": logical}))
        changes += [
            (f"{n} threads", {"n_threads": n})
            for n in sorted({self._cores - 1, self._cores // 2}, reverse=True)
            if 1 <= n < self._cores
        ]
        return [*changes, ("KV q8_0", {"type_k": "q8_0", "type_v": "q8_0", "flash_attn": "auto"})]

    # -- contests ----------------------------------------------------------------------------------

    def _challenge(
        self, name: str, weights: Weights, setting: Setting, file: str, *, fidelity_first: bool
    ) -> bool:
        """Whether the setting is the best now."""
        self._send(TuningProgress(f"measuring {name}"))
        try:
            bench = Bench(weights, setting)
        except LoadError as ex:
            self._verdict(name, str(ex))
            return False
        try:
            won = self._contest(name, bench, setting, file, fidelity_first)
        except LoadError as ex:
            self._verdict(name, str(ex))
            won = False
        if not won:
            bench.close()
        return won

    def _contest(
        self, name: str, bench: Bench, setting: Setting, file: str, fidelity_first: bool
    ) -> bool:
        # Whichever is cheaper first: other weights rarely stay true, other settings rarely gain.
        kl = None
        if fidelity_first and not self._true(kl := self._divergence(bench)):
            self._verdict(name, UNTRUE, kl=kl)
            return False
        bench.warm_up(self._ring)
        gain, speed, shipped = self._compare(bench)
        if gain < MIN_GAIN:
            verdict = BUSY if gain == 1 and self._base.disturbed else "not faster"
            self._verdict(name, verdict, gain=gain, kl=kl)
            return False
        kl = self._divergence(bench) if kl is None else kl
        if not self._true(kl):
            self._verdict(name, UNTRUE, gain=gain, kl=kl)
            return False
        n = self._fidelity.n_tokens
        best = Best(setting=setting, speed=speed, shipped=shipped, kl=kl, kl_tokens=n, file=file)
        if not acceptable(best, self._request.max_kl):
            self._verdict(name, "faster at the cost of one figure", gain=gain, kl=kl)
            return False
        self._verdict(name, "faster", gain=gain, kl=kl)
        if self._bench is not self._base:
            self._bench.close()
        self._bench, self._setting = bench, setting
        self._send(best)
        return True

    def _compare(self, bench: Bench) -> tuple[float, MeasuredSpeed, MeasuredSpeed]:
        """Gain over the best so far, and the figures beside those of the file as shipped."""
        mine: list[MeasuredSpeed] = []
        gains: list[float] = []
        shipped: list[MeasuredSpeed] = []
        for number in range(ROUNDS):
            contestants = [bench, self._bench] + [self._base] * (self._bench is not self._base)
            if number % 2:
                contestants.reverse()
            speeds = {id(one): one.measure(self._ring, self._size) for one in contestants}
            mine.append(speeds[id(bench)])
            shipped.append(speeds[id(self._base)])
            gains.append(score(speeds[id(bench)], speeds[id(self._bench)]))
            hopeless = len(gains) > 1 and max(gains) < HOPELESS
            if hopeless or not self._time_for(len(contestants) * self._round_seconds):
                break
        return sure_gain(gains), median_of(mine), median_of(shipped)

    def _divergence(self, bench: Bench) -> float:
        self._last_kl = self._fidelity.divergence(bench, self._request.max_kl)
        return self._last_kl

    def _true(self, kl: float) -> bool:
        """Nor is it true where the divergence is no number."""
        return kl <= self._request.max_kl

    # -- bounds ------------------------------------------------------------------------------------

    def _no_room(self, size: int, expected: int) -> str:
        free = min(self._request.disk_bytes, shutil.disk_usage(self._request.folder).free)
        if expected > free:
            return f"needs {expected / 1e6:.0f} MB of disk, {free / 1e6:.0f} MB may be used"
        memory = self._request.memory_bytes
        needed = int(MEMORY_FACTOR * (size + 2 * expected))
        if memory >= 0 and needed > memory:
            return f"needs {needed / 1e6:.0f} MB of memory, {memory / 1e6:.0f} MB are free"
        return ""

    def _time_for(self, seconds: float) -> bool:
        return time.monotonic() + seconds < self._deadline

    # -- the way back ------------------------------------------------------------------------------

    def _verdict(
        self, what: str, verdict: str, *, gain: float | None = None, kl: float | None = None
    ) -> None:
        kl = None if kl is None or not math.isfinite(kl) else kl
        self._send(Tried(TuningTrial(what=what, verdict=verdict, gain=gain, kl=kl)))
