"""How fast a model runs with a setting, and how close its output is to another's."""

import statistics
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.tuning.profile import MeasuredSpeed, Setting
from appliance.worker.runners.base import Batch, LoadError
from appliance.worker.runners.llama_cpp.loading import FLASH_ATTENTION, KV_TYPES, load_model
from appliance.worker.runners.llama_cpp.native import library
from appliance.worker.runners.llama_cpp.native.bindings import lib
from appliance.worker.runners.llama_cpp.native.library import last_errors
from appliance.worker.runners.placement import Placement

N_STREAMS = 8
N_CTX = 2048
N_BATCH = 512
MIN_ROUNDS = 3
LARGE_GAIN = 1.2
PART_SECONDS = 0.35
"""That one of the three measurements of a round should take."""
UNDISTURBED = 0.85
"""The fraction of the possible processor time above which a measurement counts as undisturbed."""
FIDELITY_BATCH = 128
"""Tokens whose logits are fetched together."""
FIDELITY_BYTES = 256_000_000
"""Maximum size of the reference logits."""
FLOOR = -60.0
"""Below the likeliest token's logit; some models have tokens at minus infinity."""
EARLY_TOKENS = 256
EARLY_FACTOR = 3.0
"""What is so far beyond the bound after so many tokens need not be read to the end."""

PROCESSOR = Placement("cpu")

Rows = npt.NDArray[np.float32]


class Weights:
    """A model file, loaded."""

    def __init__(self, path: Path, place: Placement = PROCESSOR, *, plain: bool = False) -> None:
        """`place` and `plain`: see `loading.load_model`.

        Raises:
            LoadError: llama.cpp does not take it.
        """
        library.forget_errors()
        model = load_model(path, place, plain=plain)
        self.native = model
        vocab = lib.llama_model_get_vocab(model)
        assert vocab is not None
        self._vocab = vocab
        self.n_vocab = lib.llama_vocab_n_tokens(vocab)
        self.n_params: int = lib.llama_model_n_params(model)
        self.n_ctx_train: int = lib.llama_model_n_ctx_train(model)
        name = (lib.llama_ftype_name(lib.llama_model_ftype(model)) or b"").decode()
        self.ftype = name.removeprefix("(guessed) ").removeprefix("all ")

    def tokenize(self, text: str) -> list[int]:
        """Tokens of a text, with the start token in front if the model wants one."""
        data = text.encode("utf-8")
        room = 4 * len(data) + 16  # of a vocabulary without a text's pieces, its bytes
        tokens = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocab, data, len(data), tokens, room, True, False)
        return list(tokens[: max(0, count)])

    def close(self) -> None:
        lib.llama_model_free(self.native)


class Size:
    """Tokens of the three measurements, for a machine and model of that speed."""

    def __init__(self, prefill: float, decode: float) -> None:
        wish = prefill * PART_SECONDS
        self.prefill = next((n for n in (512, 256, 128) if n <= wish * 1.5), 64)
        self.decode = min(48, max(6, int(decode * PART_SECONDS)))
        self.decode_8 = min(24, max(4, int(decode * PART_SECONDS / 4)))


class TokenReader:
    """A context of a model, and what the model makes of texts in it."""

    def __init__(self, weights: Weights, params: lib.llama_context_params) -> None:
        """Raises:
        LoadError: llama.cpp does not take the parameters, or there is no memory for it.
        """
        self._weights = weights
        context = lib.llama_init_from_model(weights.native, params)
        if not context:
            raise LoadError(f"llama.cpp could not make a context of it{last_errors()}")
        self._context = context
        self._memory = lib.llama_get_memory(context)
        self.generates = bool(self._memory)
        self._batch = lib.llama_batch_init(params.n_batch, 0, 1)

    def logprobs(self, tokens: list[int], start: int) -> Rows:
        """Natural log probabilities of every next token after each of `tokens`, at most a batch,
        which begin at position `start`; one row per token."""
        if start == 0:
            lib.llama_memory_clear(self._memory, False)
        count = len(tokens)
        self._compute(
            Batch(tokens, list(range(start, start + count)), [0] * count, list(range(count)))
        )
        flat = lib.llama_get_logits(self._context)
        logits: Rows = np.ctypeslib.as_array(flat, shape=(count, self._weights.n_vocab))
        logits = logits - logits.max(axis=1, keepdims=True)
        np.maximum(logits, FLOOR, out=logits)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits

    def vectors(self, tokens: list[int]) -> Rows:
        """The output for each token, at most a batch, of a model that does not generate."""
        count = len(tokens)
        self._compute(Batch(tokens, list(range(count)), [0] * count, list(range(count))))
        flat = lib.llama_get_embeddings(self._context)
        width = lib.llama_model_n_embd_out(self._weights.native)
        return np.ctypeslib.as_array(flat, shape=(count, width)).copy()

    def close(self) -> None:
        lib.llama_batch_free(self._batch)
        lib.llama_free(self._context)

    def _compute(self, batch: Batch) -> None:
        native = self._batch
        native.n_tokens = len(batch.tokens)
        for entry, token in enumerate(batch.tokens):
            native.token[entry] = token
            native.pos[entry] = batch.positions[entry]
            native.n_seq_id[entry] = 1
            native.seq_id[entry][0] = batch.slots[entry]
            native.logits[entry] = 0
        for entry in batch.outputs:
            native.logits[entry] = 1
        code = lib.llama_decode(self._context, native)
        if code != 0:
            raise LoadError(f"llama_decode gave {code}{last_errors()}")
        lib.llama_synchronize(self._context)


class Bench(TokenReader):
    """A context in a setting, on the processor."""

    def __init__(self, weights: Weights, setting: Setting) -> None:
        """Raises:
        LoadError: llama.cpp does not take the setting, or there is no memory for it.
        """
        self._n_threads = setting.n_threads_batch
        self._shares: list[float] = []
        params = lib.llama_context_default_params()
        params.n_ctx = N_CTX
        params.n_batch = N_BATCH
        params.n_ubatch = setting.n_ubatch
        params.n_seq_max = N_STREAMS
        params.kv_unified = True
        params.n_threads = setting.n_threads
        params.n_threads_batch = setting.n_threads_batch
        params.flash_attn_type = FLASH_ATTENTION[setting.flash_attn]
        params.type_k, params.type_v = KV_TYPES[setting.type_k], KV_TYPES[setting.type_v]
        params.swa_full = False  # as workers have it
        params.no_perf = True
        super().__init__(weights, params)

    def warm_up(self, tokens: list[int]) -> Size:
        """Reads the weights in, and finds out how much can be measured in a moment."""
        self._prefill(tokens[:16])
        prefill = self._prefill(tokens[:64])
        decode = self._decode(tokens[64:68], start=64)
        return Size(prefill, decode)

    def measure(self, tokens: list[int], size: Size) -> MeasuredSpeed:
        """One round. One stream continues where the prompt ended."""
        return MeasuredSpeed(
            prefill=self._prefill(tokens[: size.prefill]),
            decode=self._decode(tokens[: size.decode], start=size.prefill),
            decode_8=self._decode_8(tokens, size.decode_8),
        )

    @property
    def disturbed(self) -> bool:
        """Whether other programs took cores from the prompts that were read so far."""
        return statistics.median(self._shares) < UNDISTURBED

    def _prefill(self, tokens: list[int]) -> float:
        lib.llama_memory_clear(self._memory, False)
        count = len(tokens)
        began, worked = time.perf_counter(), time.process_time()
        self._compute(Batch(tokens, list(range(count)), [0] * count, [count - 1]))
        seconds = time.perf_counter() - began
        self._shares.append((time.process_time() - worked) / seconds / self._n_threads)
        return count / seconds

    def _decode(self, tokens: list[int], *, start: int) -> float:
        began = time.perf_counter()
        for place, token in enumerate(tokens, start):
            self._compute(Batch([token], [place], [0], [0]))
        return len(tokens) / (time.perf_counter() - began)

    def _decode_8(self, tokens: list[int], steps: int) -> float:
        lib.llama_memory_clear(self._memory, False)
        slots = list(range(N_STREAMS))
        began = 0.0
        for place in range(steps + 1):
            if place == 1:
                began = time.perf_counter()
            column = [tokens[place * N_STREAMS + slot] for slot in slots]
            self._compute(Batch(column, [place] * N_STREAMS, slots, slots))
        return steps * N_STREAMS / (time.perf_counter() - began)


class Fidelity:
    """What the original file makes of a text, to compare others with.

    Kept in 16 bits: their rounding is some 0.00001 nats in the mean.
    """

    def __init__(self, original: Bench, tokens: list[int], n_vocab: int) -> None:
        self._tokens = tokens[: max(FIDELITY_BATCH, FIDELITY_BYTES // (2 * n_vocab))]
        self.n_tokens = len(self._tokens)
        self._rows = [
            original.logprobs(self._tokens[start : start + FIDELITY_BATCH], start).astype(
                np.float16
            )
            for start in range(0, len(self._tokens), FIDELITY_BATCH)
        ]

    def divergence(self, other: Bench, limit: float) -> float:
        """Mean Kullback-Leibler divergence of `other` from the original, nats a token; of the
        text's beginning, if that is far beyond `limit` already. NaN where logits are no numbers.
        """
        total, done = 0.0, 0
        for rows in self._rows:
            base = rows.astype(np.float32)
            there = other.logprobs(self._tokens[done : done + len(rows)], done)
            total += float((np.exp(base) * (base - there)).sum())
            done += len(rows)
            if done >= EARLY_TOKENS and total / done > EARLY_FACTOR * limit:
                break
        return max(0.0, total / done) if total == total else total


def median_of(speeds: list[MeasuredSpeed]) -> MeasuredSpeed:
    """Figure by figure."""
    return MeasuredSpeed(
        prefill=statistics.median(speed.prefill for speed in speeds),
        decode=statistics.median(speed.decode for speed in speeds),
        decode_8=statistics.median(speed.decode_8 for speed in speeds),
    )


def sure_gain(gains: list[float]) -> float:
    """The median of all rounds; no gain at all where one round or, of a large gain, two rounds did
    not see any, or where there were too few: a busy machine makes anything look faster at times."""
    middle, order = statistics.median(gains), sorted(gains)
    seen = len(gains) >= MIN_ROUNDS and order[1 if middle >= LARGE_GAIN else 0] > 1
    return middle if seen else min(middle, 1.0)
