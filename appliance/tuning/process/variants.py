"""The process that tries llama.cpp's variants: a request on stdin, verdicts on stdout.

Each variant computes in a process of its own, forked from this one, in which no backend is loaded
yet: it may die or hang there. Processor time is counted, not elapsed time: a busy machine
is not the variant's fault. Where a process can't be forked (Windows) each is started separately,
one after the other.
"""

import ctypes
import math
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt
import psutil

from appliance.system import llama_libraries
from appliance.tuning.process.small_model import N_CTX, N_VOCAB, write_model
from appliance.tuning.variants.protocol import Need, VariantOutcome, VariantsRequest, VariantVerdict
from appliance.worker.runners.base import Batch
from appliance.worker.runners.llama_cpp.batch import NativeBatch
from appliance.worker.runners.llama_cpp.loading import FLASH_ATTENTION, KV_TYPES
from appliance.worker.runners.llama_cpp.native.bindings import lib, native

PROMPT = 80
"""Tokens of the batch: more than the 64 up to which some multiply in another way."""
SINGLE = 4
"""Tokens one by one, behind it."""
BESIDES = (1, 2, 3)
"""Sequences that are prefilled together, and then continue together."""
BOUND = 0.1
"""Of a row's length, how far it may be from the reference. Inputs of each multiplication are
rounded to 8 bits, half a percent of their length, and some fall to the other side; over the two
layers that came to 0.03 at the most. One lane of eight lost in a single matrix is 0.35 of what it
gives."""
HUNG_SECONDS, HUNG_TIMES = 1.0, 20
"""Processor time after which a variant hangs: so much, and so many times that of the quickest."""
STARTED_SECONDS = 5.0
"""The same for a separately started process, which has to load Python and its libraries."""
WALL_SECONDS = 15.0
"""For all of them together. Who has not answered by then is not judged."""
LOOK_SECONDS = 0.05
ROUNDS = 4

Logits = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating[Any]]


class VariantReport(msgspec.Struct, frozen=True):
    """What a variant's process reports."""

    score: int = 0
    """ggml's; 0: this processor lacks its instructions."""
    computed: float = 0.0
    """Seconds of processor time that all of it took; 0: it is not done."""
    prefill: float = 0.0
    decode: float = 0.0
    """The time of a batch and of a single token."""
    problem: str = ""
    """Why it cannot be tried."""


class Attempt(msgspec.Struct, frozen=True):
    """What a variant's process has to do."""

    library: str
    model: str
    result: str
    """The file for its logits."""
    need: Need


# -- a variant's process ---------------------------------------------------------------------------


class VariantTrial:
    """The small model, on one variant, on one thread."""

    def __init__(self, model: Path, need: Need) -> None:
        """
        Raises:
            RuntimeError: it cannot be loaded.
        """
        loaded = lib.llama_model_load_from_file(
            str(model).encode(), lib.llama_model_default_params()
        )
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = N_CTX, PROMPT, PROMPT
        params.n_seq_max = 1 + len(BESIDES)
        params.n_outputs_max = PROMPT
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = 1
        params.flash_attn_type = FLASH_ATTENTION[need.flash_attn]
        params.type_k, params.type_v = KV_TYPES[need.type_k], KV_TYPES[need.type_v]
        params.no_perf = True
        context = lib.llama_init_from_model(loaded, params) if loaded else None
        if loaded and not context:  # heads of that size can't be kept in blocks
            params.type_k = params.type_v = KV_TYPES["f16"]
            context = lib.llama_init_from_model(loaded, params)
        if not context:
            raise RuntimeError("the small model could not be loaded")
        self._context = context
        self._batch = NativeBatch(PROMPT)

    def logits(self) -> Logits:
        """Logits of a prompt's tokens, of some that follow, and of several sequences, in rows."""
        rows = [self._prefill(), *(self._single(number) for number in range(SINGLE))]
        rows.append(
            self._decode([(7 * slot + at, at, slot) for slot in BESIDES for at in range(5)])
        )
        rows.append(self._decode([(slot, 5, slot) for slot in BESIDES]))
        return np.concatenate(rows)

    def seconds(self) -> tuple[float, float]:
        """Processor time of the prompt, and of a token behind it."""
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        began = time.process_time()
        self._prefill()
        read = time.process_time()
        for number in range(SINGLE):
            self._single(number)
        return read - began, (time.process_time() - read) / SINGLE

    def _prefill(self) -> Logits:
        return self._decode([(37 * at % N_VOCAB, at, 0) for at in range(PROMPT)])

    def _single(self, number: int) -> Logits:
        return self._decode([(11 * number, PROMPT + number, 0)])

    def _decode(self, entries: list[tuple[int, int, int]]) -> Logits:
        tokens, positions, slots = (list(column) for column in zip(*entries, strict=True))
        everywhere = list(range(len(entries)))
        batch = Batch(tokens=tokens, positions=positions, slots=slots, outputs=everywhere)
        if code := lib.llama_decode(self._context, self._batch.fill(batch)):
            raise RuntimeError(f"llama_decode gave {code}")
        pointer = lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, shape=(len(entries), N_VOCAB)).copy()


def _try(attempt: Attempt, requests: int, reports: int) -> NoReturn:
    """All that a variant's process does."""
    try:
        _compute_and_be_timed(attempt, requests, reports)
    except (OSError, RuntimeError, AttributeError) as ex:
        os.write(reports, msgspec.json.encode(VariantReport(score=1, problem=str(ex))) + b"\n")
    finally:
        os._exit(1)


def _compute_and_be_timed(attempt: Attempt, requests: int, reports: int) -> NoReturn:
    """`requests`: a byte each time that it is to be timed."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(llama_libraries.folder())  # see `bindings.searched`

    def send(report: VariantReport) -> None:
        os.write(reports, msgspec.json.encode(report) + b"\n")

    score = int(ctypes.CDLL(attempt.library).ggml_backend_score())
    if score == 0:
        send(VariantReport())
        os._exit(0)
    send(VariantReport(score=score))
    load = native("ggml_backend_load", ctypes.c_void_p, ctypes.c_char_p)
    if not load(attempt.library.encode()):
        raise RuntimeError("llama.cpp does not take it")
    trial = VariantTrial(Path(attempt.model), attempt.need)
    np.save(attempt.result, trial.logits())
    computed = time.process_time()
    send(VariantReport(score=score, computed=computed))
    while os.read(requests, 1):
        prefill, decode = trial.seconds()
        send(VariantReport(score=score, computed=computed, prefill=prefill, decode=decode))
    os._exit(0)


# -- the process that asks them --------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class VariantProcess:
    """A variant's process, seen from outside."""

    name: str
    result: Path
    """The file of its logits."""
    pid: int
    ask: int = -1
    reports: int = -1
    score: int = 0
    computed: float = 0.0
    gone: bool = False
    died: str = ""
    """The cause of its death, if it was its own fault."""
    problem: str = ""
    hung: bool = False
    """It was ended, having taken much more time than it needs."""
    prefill: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    _buffer: bytes = b""

    def listen(self) -> None:
        """Take what it reported; `reports` is readable."""
        new = os.read(self.reports, 4096)
        self.take(new)
        if not new:
            self._end()

    def take(self, new: bytes) -> None:
        """Take some of what it reported."""
        *lines, self._buffer = (self._buffer + new).split(b"\n")
        for line in lines:
            report = msgspec.json.decode(line, type=VariantReport)
            self.score, self.computed, self.problem = report.score, report.computed, report.problem
            if report.prefill:
                self.prefill.append(report.prefill)
                self.decode.append(report.decode)

    def kill(self) -> None:
        """It is not waited for any longer."""
        if not self.gone:
            os.kill(self.pid, signal.SIGKILL)
            self._end()
            self.died = ""

    def cpu_seconds(self) -> float:
        """Processor time that it has used; 0: it has just ended."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return times.user + times.system

    def _end(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self.died = _cause(os.waitstatus_to_exitcode(status))
        self.gone = True
        os.close(self.ask)
        os.close(self.reports)


def _cause(code: int) -> str:
    """What a process died of, by its exit code; empty: it ended by itself."""
    if code < 0:
        return signal.Signals(-code).name
    return f"{code:#010x}" if code >= _WINDOWS_FAULT else ""


_WINDOWS_FAULT = 0xC0000000
"""Windows' exceptions, such as 0xc000001d for an illegal instruction."""


def _fork(name: str, attempt: Attempt) -> VariantProcess:
    requests, ask = os.pipe()
    reports, report_to = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ask)
        os.close(reports)
        _try(attempt, requests, report_to)
    os.close(requests)
    os.close(report_to)
    return VariantProcess(name, Path(attempt.result), pid, ask, reports)


def _start(
    name: str, attempt: Attempt, command: tuple[str, ...], deadline: float
) -> VariantProcess:
    """All requests are sent at once, and all reports read at its end: pipes of Windows can't be
    waited for."""
    with subprocess.Popen(
        [*command, msgspec.json.encode(attempt).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        candidate = VariantProcess(name, Path(attempt.result), process.pid, gone=True)
        reports, ended = b"", False
        ask: bytes | None = b"t" * ROUNDS
        while not ended:
            try:
                reports, _ = process.communicate(ask, LOOK_SECONDS)
                ended = True
            except subprocess.TimeoutExpired:
                ask = None  # it has it
                candidate.hung = candidate.cpu_seconds() > STARTED_SECONDS
                if candidate.hung or time.monotonic() > deadline:
                    process.kill()
                    reports, _ = process.communicate()
                    break
    candidate.take(reports)
    candidate.died = _cause(process.returncode) if ended else ""
    return candidate


def examine(request: VariantsRequest) -> list[VariantVerdict]:
    """Tries the variants that this processor can run; the plainest first."""
    model = Path(request.folder) / "small.gguf"
    write_model(model, request.need)
    found = llama_libraries.variants()
    names = [name for name in found if not request.only or name in request.only]
    attempts = {
        name: Attempt(
            str(found[name]), str(model), str(model.with_name(f"{name}.npy")), request.need
        )
        for name in names
    }
    deadline = time.monotonic() + WALL_SECONDS
    if request.start:
        candidates = [_start(*one, request.start, deadline) for one in attempts.items()]
    else:
        candidates = [_fork(*one) for one in attempts.items()]
    _compute(candidates, deadline)
    able = sorted((c for c in candidates if c.score), key=lambda c: (c.score, c.name))
    errors = _errors([c for c in able if c.computed])
    _time([c for c in able if errors.get(c.name, BOUND) < BOUND], deadline)
    for candidate in candidates:
        candidate.kill()
    return [_verdict(c, errors.get(c.name)) for c in able]


def _listen(candidates: list[VariantProcess]) -> None:
    """For a moment, to those that are there."""
    pipes = {c.reports: c for c in candidates if not c.gone}
    for pipe in select.select(list(pipes), [], [], LOOK_SECONDS)[0]:
        pipes[pipe].listen()


def _compute(candidates: list[VariantProcess], deadline: float) -> None:
    """Waits until each has computed, is gone, or hangs."""
    while busy := [c for c in candidates if not (c.computed or c.gone)]:
        _listen(candidates)
        if time.monotonic() > deadline:
            return
        quickest = min((c.computed for c in candidates if c.computed), default=None)
        if quickest is None:
            continue
        for candidate in busy:
            bound = max(HUNG_SECONDS, HUNG_TIMES * quickest)
            if not (candidate.gone or candidate.computed) and candidate.cpu_seconds() > bound:
                candidate.kill()
                candidate.hung = True


def _errors(candidates: list[VariantProcess]) -> dict[str, float]:
    """How far each is from the reference: the one that most others agree with, the plainest if
    there are several."""
    logits = {c.name: np.load(c.result) for c in candidates}
    apart = {one: {two: _distance(logits[one], logits[two]) for two in logits} for one in logits}
    agreeing = {one: sum(d <= BOUND for d in apart[one].values()) for one in apart}
    reference = max(agreeing, key=lambda name: agreeing[name], default=None)
    return apart[reference] if reference else {}


def _distance(one: Floats, two: Floats) -> float:
    """The distance of the worst row, relative to its length."""
    with np.errstate(all="ignore"):
        one, two = one.astype(np.float64), two.astype(np.float64)  # or rubbish could be too large
        lengths = np.maximum(np.linalg.norm(one, axis=1), np.linalg.norm(two, axis=1))
        apart = float((np.linalg.norm(one - two, axis=1) / np.maximum(lengths, 1e-9)).max())
    return apart if math.isfinite(apart) else math.inf


def _time(candidates: list[VariantProcess], deadline: float) -> None:
    """One after the other, so that none has the machine to itself."""
    for number in range(1, ROUNDS + 1):
        for candidate in candidates:
            if not candidate.gone:
                os.write(candidate.ask, b"t")
            while not candidate.gone and len(candidate.prefill) < number:
                _listen([candidate])
                if time.monotonic() > deadline:
                    return


def _verdict(candidate: VariantProcess, error: float | None) -> VariantVerdict:
    outcome: VariantOutcome = "right"
    detail = ""
    if candidate.hung:
        outcome, detail = "hung", "it did not come to an end"
    elif candidate.died:
        outcome, detail = "died", f"its process died of {candidate.died}"
    elif not candidate.computed:
        outcome, detail = "unknown", candidate.problem or "it was not done in time"
    elif error is None or error > BOUND:
        outcome, detail = "wrong", f"it computes wrong: {error:.0%} from the others"
    return VariantVerdict(
        variant=candidate.name,
        score=candidate.score,
        outcome=outcome,
        detail=detail,
        # What disturbs only makes it longer.
        prefill=min(candidate.prefill, default=0.0),
        decode=min(candidate.decode, default=0.0),
        error=min(error or 0.0, 1e9),
    )


def main() -> int:
    """Entry of the process: a `VariantsRequest` on stdin, JSON of the verdicts on stdout. With an
    `Attempt` as its argument it is a variant's process."""
    lib.llama_log_set(_silent, None)
    if len(sys.argv) > _ARGUMENTS:
        _try(msgspec.json.decode(sys.argv[_ARGUMENTS], type=Attempt), 0, 1)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=VariantsRequest)
    sys.stdout.write(msgspec.json.encode(examine(request)).decode() + "\n")
    return 0


_ARGUMENTS = 2
"""Arguments of the process that tries variants: the program and `proof`."""


def _say_nothing(_level: int, _text: bytes, _data: object) -> None:
    """llama.cpp's messages about the small model are of no interest."""


_silent = lib.llama_log_callback(_say_nothing)
"""Kept here: native code calls it for as long as the process lives."""
