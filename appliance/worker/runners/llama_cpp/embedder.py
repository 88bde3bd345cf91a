"""Embeddings by llama.cpp: a second context of the same model, made for as long as it is needed.

llama.cpp reserves logits for every token of a batch of an embedding context, also of models that
have none (tokens × vocabulary × 4 bytes): a reason for short batches, and for giving them back.

A model whose tokens look at those behind them as well (BERT and the like) computes an input in one
piece, and llama.cpp pools it. One that writes text reads an input in chunks, which are pooled here:
llama.cpp pools each chunk by itself.
"""

import ctypes

import numpy as np
import numpy.typing as npt

from appliance.worker.runners.base import Batch, DecodeFailed, DeviceLost, LoadError
from appliance.worker.runners.llama_cpp.batch import NativeBatch
from appliance.worker.runners.llama_cpp.native.bindings import lib
from appliance.worker.runners.llama_cpp.native.library import forget_errors, last_errors
from appliance.worker.runners.llama_cpp.native.threads import ThreadPool

CHUNK = 128
"""Tokens of a batch of a model that also writes text: running replies wait that long."""
SHORTEST = 512
"""Tokens that there is room for at least."""
SLOTS = 64
STATE_SLOTS = 8
"""Slots of a model with a state of fixed size for each, which may be large."""
OUTPUT_BYTES = 1 << 30
"""What llama.cpp may reserve for logits that are never read."""

Vector = npt.NDArray[np.float32]


class LlamaEmbedder:
    """See `runners.base.Embedder`."""

    def __init__(
        self,
        main: lib.llama_context_p,
        model: int,
        longest: int,
        *,
        threads: ThreadPool,
        can_cut: bool,
        on_gpu: bool,
    ) -> None:
        """
        Args:
            main: the model's first context.
            model: llama.cpp's handle.
            longest: tokens that an input may have.
            threads: those of the first context.
            can_cut: see `runners.base.KvMemory`.
            on_gpu: a computation that fails means that the device is lost.

        Raises:
            LoadError: with llama.cpp's last error messages.
        """
        self.whole = _looks_ahead(main, model)
        self._on_gpu = on_gpu
        least = min(SHORTEST, lib.llama_model_n_ctx_train(model))
        self.n_cells = max(least, 1 << (longest - 1).bit_length())
        self.n_batch = self.n_cells if self.whole else CHUNK
        self.n_slots = SLOTS if can_cut else STATE_SLOTS
        self._width = lib.llama_model_n_embd_out(model)
        of_file = lib.llama_pooling_type(main)
        none, mean = lib.LLAMA_POOLING_TYPE_NONE, lib.LLAMA_POOLING_TYPE_MEAN
        self._pooling = mean if of_file == none else of_file
        self._ranks = of_file == lib.LLAMA_POOLING_TYPE_RANK
        if self._ranks:  # its head is a part of what llama.cpp computes
            self.whole = True
            self.n_batch = self.n_cells
            self._width = 1
        pooling = self._pooling if self.whole else none
        params = lib.llama_context_default_params()
        params.n_ctx = self.n_cells
        params.n_batch = params.n_ubatch = self.n_batch
        params.n_seq_max = self.n_slots
        params.kv_unified = True
        params.embeddings = True
        if pooling != of_file:
            params.pooling_type = pooling
        params.n_threads = params.n_threads_batch = threads.count
        params.no_perf = True
        forget_errors()
        context = lib.llama_init_from_model(model, params)
        if not context:
            raise LoadError(f"llama.cpp could not make a context{last_errors()}")
        threads.attach(context)
        self._context = context
        self._memory = lib.llama_get_memory(context)
        self._batch = NativeBatch(self.n_batch)
        self._pools: dict[int, _Pool] = {}
        self._pooled: dict[int, Vector] = {}

    @staticmethod
    def longest(main: lib.llama_context_p, model: int, n_ctx: int) -> int:
        """Tokens that an input may have."""
        if not _looks_ahead(main, model):
            return n_ctx
        vocab = lib.llama_model_get_vocab(model)
        room: int = OUTPUT_BYTES // (
            lib.llama_vocab_n_tokens(vocab) * ctypes.sizeof(ctypes.c_float)
        )
        # A power of two, as contexts are.
        return min(n_ctx, int(lib.llama_model_n_ctx_train(model)), 1 << (room.bit_length() - 1))

    def compute(self, batch: Batch) -> None:
        count = len(batch.tokens)
        batch.outputs = list(range(count))
        code = lib.llama_decode(self._context, self._batch.fill(batch))
        if code < -1 and self._on_gpu:
            raise DeviceLost(f"llama_decode gave {code}{last_errors()}")
        if code != 0:
            raise DecodeFailed(f"llama_decode gave {code}{last_errors()}")
        if self.whole:
            for slot in set(batch.slots):
                found = lib.llama_get_embeddings_seq(self._context, slot)
                self._pooled[slot] = np.ctypeslib.as_array(found, (self._width,)).copy()
                self._cut(slot)
            return
        found = lib.llama_get_embeddings(self._context)
        rows = np.ctypeslib.as_array(found, (count, self._width))
        slots = np.array(batch.slots)
        for slot in dict.fromkeys(batch.slots):
            self._pools.setdefault(slot, _Pool(self._pooling)).add(rows[slots == slot])

    def vector(self, slot: int) -> bytes:
        vector = self._pooled[slot] if self.whole else self._pools[slot].vector()
        if self._ranks:
            return vector.astype("<f4").tobytes()
        length = float(np.linalg.norm(vector))
        return (vector / length if length else vector).astype("<f4").tobytes()

    def clear(self, slot: int) -> None:
        self._pools.pop(slot, None)
        self._pooled.pop(slot, None)
        self._cut(slot)

    def close(self) -> None:
        lib.llama_free(self._context)

    def _cut(self, slot: int) -> None:
        if self._memory:
            lib.llama_memory_seq_rm(self._memory, slot, -1, -1)


class _Pool:
    """One vector out of those of an input's tokens, which come in chunks."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._first: Vector | None = None
        self._last: Vector | None = None
        self._sum: npt.NDArray[np.float64] | None = None
        self._count = 0

    def add(self, rows: Vector) -> None:
        """The next tokens' vectors, a row each."""
        if self._first is None:
            self._first = rows[0].copy()
        self._last = rows[-1].copy()
        total = rows.sum(axis=0, dtype=np.float64)
        self._sum = total if self._sum is None else self._sum + total
        self._count += len(rows)

    def vector(self) -> npt.NDArray[np.floating]:
        """As the model's file wants it."""
        assert self._first is not None and self._last is not None and self._sum is not None
        if self._kind == lib.LLAMA_POOLING_TYPE_CLS:
            return self._first
        if self._kind == lib.LLAMA_POOLING_TYPE_LAST:
            return self._last
        return self._sum / self._count


def _looks_ahead(context: lib.llama_context_p, model: int) -> bool:
    """Whether tokens look at those behind them: those of models without a cache, and where the file
    says so. Source: `llama_hparams::causal_attn`, which a ready-made library does not report."""
    if not lib.llama_get_memory(context):
        return True
    architecture = _metadata(model, b"general.architecture")
    return _metadata(model, architecture + b".attention.causal") == b"false"


def _metadata(model: int, key: bytes) -> bytes:
    value = ctypes.create_string_buffer(64)
    lib.llama_model_meta_val_str(model, key, value, len(value))
    return value.value
