"""The child process of `tuning.devices.verify`: does a GPU compute what the processor does?

Both read the same beginning of a text, the processor as a batch, from the weights as the file has
them. The GPU reads it as a batch, then a few tokens at once as for several chats, then one by one:
these are different programs on a GPU. A slow one reads less of it.
"""

import contextlib
import math
import os
import time
from pathlib import Path

import msgspec
import numpy as np

from appliance.engine.device_results import ComparisonResult, is_faulty
from appliance.engine.protocol import Device
from appliance.system.process_setup import Send, take_request
from appliance.tuning.devices.protocol import CannotCompare, Compare, Compared, ComparisonProgress
from appliance.tuning.process.bench import PROCESSOR, Rows, TokenReader, Weights
from appliance.tuning.process.calibration_text import TEXT
from appliance.worker.runners.base import LoadError
from appliance.worker.runners.llama_cpp.loading import context_params
from appliance.worker.runners.llama_cpp.native import library
from appliance.worker.runners.llama_cpp.native.bindings import lib
from appliance.worker.runners.llama_cpp.verified_devices import subject_of
from appliance.worker.runners.placement import choose

TOKENS = 64
FEW = 16
"""Tokens that are read first; no more of them on a machine on which that takes long."""
TOGETHER = 8
"""Tokens that are read as those of so many chats would be."""
LEAST_SINGLE = 4
TIMED_SINGLE = 2
BUDGET_SECONDS = 6.0
"""For all that is read, after the model is loaded: what goes on when it is used up is no more than
what must be read at least."""


class Comparison:
    """One model on the processor and on GPUs."""

    def __init__(self, request: Compare, send: Send) -> None:
        """
        Raises:
            LoadError: a device is not there, nothing of the model fits, or it cannot be loaded.
        """
        self._load, self._send = request.load, send
        there = {device.name: device for device in library.devices()}
        gone = [name for name in request.devices if name not in there]
        if gone:
            raise LoadError(f"{' and '.join(gone)} is not there any more")
        self._devices = [there[name] for name in request.devices]
        send(ComparisonProgress("loading the model for the processor"))
        self._base_weights = Weights(Path(self._load.path), PROCESSOR, plain=True)
        self._tokens = self._base_weights.tokenize(TEXT)[:TOKENS]
        if len(self._tokens) < FEW:
            raise LoadError("its vocabulary has no words for the text that is read")
        self._base = self._reader(self._base_weights)
        self._weights, self._gpu = self._on_gpu(self._devices)

    def run(self) -> ComparisonResult:
        """Read, and compare.

        Raises:
            LoadError: something could not be computed.
        """
        began = time.monotonic()
        divergences = self._texts(began) if self._base.generates else self._vectors()
        mean, worst = _figures(divergences)
        pace = None if is_faulty(mean, worst) or not self._base.generates else self._pace()
        return ComparisonResult(
            subject=subject_of(self._load, self._devices),
            source=self._load.path,
            tokens=self._count,
            mean=mean,
            worst=worst,
            pace=pace,
            at=time.time(),
            seconds=time.monotonic() - began,
        )

    def _texts(self, began: float) -> Rows:
        """How far apart they are in what token comes next, behind each one that was read."""
        few, all_tokens = self._tokens[:FEW], self._tokens
        base = self._read("the processor", self._base, few, 0)
        rows = [_divergence(base, self._read("the GPU", self._gpu, few, 0))]
        self._count = len(rows[0])
        if is_faulty(*_figures(rows[0])):
            return rows[0]  # no more is needed
        if time.monotonic() - began < BUDGET_SECONDS / 3:
            rest = self._read("the processor", self._base, all_tokens[FEW:], FEW)
            base = np.concatenate([base, rest])
            rows = [_divergence(base, self._read("the GPU", self._gpu, all_tokens, 0))]
        self._count = len(rows[0])
        rows.append(
            _divergence(base[:TOGETHER], self._read("the GPU", self._gpu, few[:TOGETHER], 0))
        )
        for place in range(TOGETHER, self._count):
            if place >= TOGETHER + LEAST_SINGLE and time.monotonic() - began > BUDGET_SECONDS:
                break
            one = self._read("the GPU", self._gpu, all_tokens[place : place + 1], place)
            rows.append(_divergence(base[place : place + 1], one))
        return np.concatenate(rows)

    def _pace(self) -> float:
        """How many times as fast as the processor the GPU is, at what it is better at. Both have
        read before, so that nothing is compiled or fetched any more."""
        self._send(ComparisonProgress("both read once more, timed"))
        gpu, base = (self._seconds(reader) for reader in (self._gpu, self._base))
        return max(there / here for here, there in zip(gpu, base, strict=True))

    def _seconds(self, reader: TokenReader) -> tuple[float, float]:
        """For the batch, and for a token behind it."""
        began = time.monotonic()
        reader.logprobs(self._tokens[: self._count], 0)
        read = time.monotonic()
        for place in range(self._count, self._count + TIMED_SINGLE):
            reader.logprobs(self._tokens[:1], place)
        return read - began, (time.monotonic() - read) / TIMED_SINGLE

    def _vectors(self) -> Rows:
        """How far apart they are in the vectors of a model that writes nothing: 1 - cosine."""
        self._count = len(self._tokens)
        self._send(ComparisonProgress(f"both read {self._count} tokens"))
        base, there = (reader.vectors(self._tokens) for reader in (self._base, self._gpu))
        lengths = np.linalg.norm(base, axis=1) * np.linalg.norm(there, axis=1)
        distances: Rows = 1 - (base * there).sum(axis=1) / lengths
        return distances

    def _read(self, who: str, reader: TokenReader, tokens: list[int], start: int) -> Rows:
        self._send(ComparisonProgress(f"{who} reads {len(tokens)} tokens"))
        return reader.logprobs(tokens, start)

    def _on_gpu(self, devices: list[Device]) -> tuple[Weights, TokenReader]:
        """With as many layers as fit there."""
        wanted = msgspec.structs.replace(self._load, device="auto", n_gpu_layers=-1)
        place = choose(wanted, devices, lambda _: ("trusted", ""))
        if place.on:  # one may be enough by now, and it is all of them that are asked about
            place.on = tuple(device.name for device in devices)
        problem = "nothing of the model fits on it"
        while place.on:
            self._send(ComparisonProgress(f"loading {place.n_gpu_layers} layers for the GPU"))
            try:
                weights = Weights(Path(self._load.path), place)
                try:
                    return weights, self._reader(weights)
                except LoadError:
                    weights.close()
                    raise
            except LoadError as ex:
                problem = str(ex)
                place.apart = False  # here there are no cells to share
                place.shrink()
        raise LoadError(problem)

    def _reader(self, weights: Weights) -> TokenReader:
        small = msgspec.structs.replace(
            self._load, n_ctx=2 * TOKENS, n_batch=TOKENS, n_ubatch=TOKENS, n_seq_max=1
        )
        params = context_params(small, weights.native)
        params.n_outputs_max = TOKENS
        reader = TokenReader(weights, params)
        if reader.generates:
            return reader
        reader.close()
        params.embeddings = True
        params.pooling_type = lib.LLAMA_POOLING_TYPE_NONE
        return TokenReader(weights, params)


def _divergence(base: Rows, there: Rows) -> Rows:
    """Kullback-Leibler, nats, of each token."""
    found: Rows = (np.exp(base) * (base - there)).sum(axis=1)
    return found


def _figures(rows: Rows) -> tuple[float | None, float | None]:
    """Mean and maximum; None where they are no numbers."""
    found = float(rows.mean()), float(rows.max())
    mean, worst = (max(0.0, value) if math.isfinite(value) else None for value in found)
    return mean, worst


def main() -> int:
    """Entry of the process: a request on stdin, lines on stdout, log lines on stderr."""
    line, send = take_request()
    request = msgspec.json.decode(line, type=Compare)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)  # people are answered by the processor meanwhile
    try:
        library.start(request.load.variant)
        send(Compared(Comparison(request, send).run()))
    except (LoadError, OSError) as ex:
        send(CannotCompare(str(ex)))
        return 1
    return 0
