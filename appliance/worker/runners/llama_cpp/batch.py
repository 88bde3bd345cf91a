"""A batch in llama.cpp's shape."""

import ctypes

from appliance.worker.runners.base import Batch
from appliance.worker.runners.llama_cpp.native.bindings import lib


class NativeBatch:
    """A `llama_batch` over our own arrays, filled by slices: no Python loop over the tokens."""

    def __init__(self, size: int) -> None:
        """For up to `size` tokens."""
        self._token = (lib.llama_token * size)()
        self._pos = (lib.llama_pos * size)()
        self._slot = (lib.llama_seq_id * size)()
        self._logits = (ctypes.c_int8 * size)()
        n_slots = (ctypes.c_int32 * size)(*[1] * size)
        pointer = ctypes.POINTER(lib.llama_seq_id)
        width = ctypes.sizeof(lib.llama_seq_id)
        start = ctypes.addressof(self._slot)
        slots = (pointer * size)(
            *(ctypes.cast(start + index * width, pointer) for index in range(size))
        )
        self._keep = (n_slots, slots)
        self._zeros = bytes(size)
        self._native = lib.llama_batch(
            n_tokens=0,
            token=self._token,
            embd=None,
            pos=self._pos,
            n_seq_id=n_slots,
            seq_id=slots,
            logits=self._logits,
        )

    def fill(self, batch: Batch) -> lib.llama_batch:
        """The batch as llama.cpp wants it; good until the next call."""
        count = len(batch.tokens)
        for array, values in (
            (self._token, batch.tokens),
            (self._pos, batch.positions),
            (self._slot, batch.slots),
        ):
            array[:count] = values  # type: ignore[assignment]  # typeshed: c_int32
        ctypes.memmove(self._logits, self._zeros, count)
        for entry in batch.outputs:
            self._logits[entry] = 1
        self._native.n_tokens = count
        return self._native
