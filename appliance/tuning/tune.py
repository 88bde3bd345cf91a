"""Finds the fastest way to run a model on this machine that keeps its output the same.

Everything native happens in a child process: a crash, or memory that runs out, costs what was not
yet measured and nothing else. The child reads one line, a `TuneRequest` or `Measure`, and writes
what it finds out as lines of JSON; the end of its stdin ends it.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from appliance.errors import ModelLoadFailed
from appliance.system import hardware
from appliance.system.fingerprint import fingerprint
from appliance.system.json_process import converse
from appliance.tuning.profile import (
    MAX_KL,
    MIN_GAIN,
    Best,
    Setting,
    TuningProfile,
    TuningTrial,
    acceptable,
    describe,
    keep,
    prune,
    score,
    stem,
)
from appliance.tuning.protocol import (
    CannotLoad,
    Measure,
    Measured,
    Tried,
    TuneRequest,
    TuningEvent,
    TuningProgress,
)

log = logging.getLogger(__name__)

DISK_RESERVE = 2_000_000_000
"""Bytes that rewritten weights leave free."""
GRACE_SECONDS = 3.0
"""The child ends by itself when its budget is used up; it is ended when it is late by this and a
quarter of the budget."""
MEASURE_SECONDS = 600.0


class TuningStopped(Exception):
    """The machine was needed for something else."""


def tune(
    model: Path,
    folder: Path,
    *,
    budget_seconds: float,
    progress: Callable[[str], None],
    command: Sequence[str],
    environment: Mapping[str, str],
    memory_bytes: int | None = None,
    variant: str = "",
    max_kl: float = MAX_KL,
    stop: Callable[[], bool] = lambda: False,
) -> TuningProfile:
    """Measure, choose, and store what was chosen; takes `budget_seconds` and half as much at most.

    `command` starts the child (`tuning.process.main`) in `environment`, that of workers: how its
    threads wait for each other is part of what is measured. `variant` is llama.cpp's, as
    `protocol.Load` has it. `memory_bytes` is what may be used;
    None: no limit. `progress` gets a line for people now and then. `stop` is called often; once it
    returns true, everything ends at once.

    Raises:
        TuningStopped: by `stop`; what was stored before stands.
        ModelLoadFailed: the model cannot be loaded, or nothing could be measured in that time.
        OSError: the folder cannot be written, or the child not be started.
    """
    began = time.monotonic()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    prune(folder)
    prefix = stem(model)
    before = fingerprint(model)
    with tempfile.TemporaryDirectory(
        prefix=f"{prefix}-", suffix=".part", dir=folder, ignore_cleanup_errors=True
    ) as work:
        request = TuneRequest(
            model=str(model),
            folder=work,
            seconds=budget_seconds,
            max_kl=max_kl,
            disk_bytes=max(0, shutil.disk_usage(folder).free - DISK_RESERVE),
            memory_bytes=-1 if memory_bytes is None else memory_bytes,
            variant=variant,
        )
        found = _TunerProcess(progress)
        late = budget_seconds * 1.25 + GRACE_SECONDS
        why = found.run(request, command, environment, late, stop)
        if found.stopped:
            raise TuningStopped
        best = found.choice(max_kl)
        if best is None:
            raise ModelLoadFailed(f"{model.name} could not be tuned: {why}")
        name = digest = ""
        if best.file:
            name, digest = _take(Path(work) / best.file, folder, prefix)
    profile = TuningProfile(
        source=str(model.absolute()),
        model=before,
        hardware=hardware.hardware(),
        build=hardware.build(),
        variant=variant,
        file=digest,
        best=msgspec.structs.replace(best, file=name),
        trials=found.trials,
        seconds=time.monotonic() - began,
    )
    keep(profile, folder)
    return profile


def measure(
    file: Path,
    *,
    setting: Setting | None,
    rounds: int,
    variant: str = "",
    command: Sequence[str],
    environment: Mapping[str, str],
) -> Measured:
    """How fast a file runs here; see `tune` for the arguments.

    Raises:
        ModelLoadFailed: it cannot be loaded, or nothing could be measured.
        OSError: the child could not be started.
    """
    found = _TunerProcess(lambda _: None)
    request = Measure(file=str(file), setting=setting, rounds=rounds, variant=variant)
    why = found.run(request, command, environment, MEASURE_SECONDS)
    if found.measured is None:
        raise ModelLoadFailed(f"{file.name} could not be measured: {why}")
    return found.measured


def _take(weights: Path, folder: Path, prefix: str) -> tuple[str, str]:
    """Move rewritten weights beside the profile; their name there and fingerprint.

    They are on the disk before they have their name, and the name is theirs alone: a worker that
    still maps older ones keeps what it has.
    """
    weights.chmod(0o600)
    with weights.open("rb+") as stream:
        os.fsync(stream.fileno())
    digest = fingerprint(weights)
    name = f"{prefix}-{digest[:8]}.gguf"
    weights.replace(folder / name)
    return name, digest


class _TunerProcess:
    """One child and what it reported; believed only where it can be checked."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._bests: list[Best] = []
        self._refusal = ""
        self.measured: Measured | None = None
        self.stopped = False
        self.trials: list[TuningTrial] = []

    def choice(self, max_kl: float) -> Best | None:
        """The last that is true to the original; None: nothing was measured."""
        bound = min(max_kl, MAX_KL)
        true = [b for b in self._bests if acceptable(b, bound) and Path(b.file).name == b.file]
        return true[-1] if true else None

    def run(
        self,
        request: TuneRequest | Measure,
        command: Sequence[str],
        environment: Mapping[str, str],
        seconds: float,
        stop: Callable[[], bool] = lambda: False,
    ) -> str:
        """Listen to a child until it ends, `stop` says so, or its time is over; why it ended."""
        end = converse(
            command,
            environment,
            msgspec.json.encode(request),
            self._listen,
            seconds=seconds,
            stop=stop,
        )
        self.stopped = end.stopped
        if self._refusal:
            return self._refusal
        if not self._bests and not self.measured:
            return f"nothing was measured (exit code {end.code}): {end.log_tail}"
        return ""

    def _listen(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=TuningEvent)
        except ValueError as ex:
            log.warning("the tuning process sent something else: %s", ex)
            return
        if isinstance(event, TuningProgress):
            self._progress(event.text)
        elif isinstance(event, Tried):
            self.trials.append(event.trial)
            self._progress(f"{event.trial.what}: {event.trial.verdict}")
        elif isinstance(event, CannotLoad):
            self._refusal = event.message
        elif isinstance(event, Measured):
            self.measured = event
        else:
            self._bests.append(event)


# -- for people ------------------------------------------------------------------------------------


def render(profile: TuningProfile) -> str:
    """The profile as a table, for a terminal; no line break at the end."""
    best = profile.best
    rows = [
        ("", "as shipped", "tuned", ""),
        *(
            (label, f"{old:.0f} t/s", f"{new:.0f} t/s", f"× {new / old:.2f}")
            for label, old, new in (
                ("reading a prompt", best.shipped.prefill, best.speed.prefill),
                ("writing, one stream", best.shipped.decode, best.speed.decode),
                ("writing, 8 streams", best.shipped.decode_8, best.speed.decode_8),
            )
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
    gain = score(best.speed, best.shipped)
    verdict = (
        f"Chosen: {describe(best.setting)}; × {gain:.2f} in all. "
        f"Mean KL divergence from the original over {best.kl_tokens} tokens: "
        f"{best.kl:.4f} (at most {MAX_KL})."
        if gain >= MIN_GAIN
        else "Nothing that was tried is faster than the model as it was shipped."
    )
    if not profile.complete:
        verdict += "\nNot all could be tried: more time, or an idle machine, may find more."
    tried = [
        f"  {t.what}: {t.verdict}"
        + (f", × {t.gain:.2f}" if t.gain is not None else "")
        + (f", KL {t.kl:.4f}" if t.kl is not None else "")
        for t in profile.trials
    ]
    return "\n".join(
        [*table, "", verdict, f"Tried in {profile.seconds:.0f} s:", *(tried or ["  nothing"])]
    )
