"""A model's logits for its whole vocabulary, as an array.

For what llama.cpp's sampler chain does not do by itself: constraints and log probabilities.
"""

import ctypes
import math
from collections.abc import Sequence

import numpy as np

from appliance.worker.runners.llama_cpp.native.bindings import Handle, lib

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama.cpp's `llama_token_data`."""


class Candidates:
    """The candidate tokens of one context."""

    def __init__(self, context: int, n_vocab: int) -> None:
        self._context = context
        self._n_vocab = n_vocab
        self._row = ctypes.c_float * n_vocab
        self._allowed = b""
        self._gone = np.zeros(n_vocab, np.bool_)

    def choose(
        self, output: int, sampler: Handle, allowed: bytes | None, banned: Sequence[int]
    ) -> tuple[int, float] | None:
        """The token that the sampler selects of those that are allowed and not banned, and its
        probability among those that were left; None: there is none. The logits stay as they are.

        `allowed`: a bit for each token, the lowest first; None: all are.
        """
        left = np.ones(self._n_vocab, np.bool_) if allowed is None else self._bits(allowed)
        if banned:
            left[list(banned)] = False
        tokens = np.flatnonzero(left)  # of which NumPy counts faster
        if not len(tokens):
            return None
        candidates = np.zeros(len(tokens), _CANDIDATE)
        candidates["id"] = tokens
        candidates["logit"] = self._logits(output)[tokens]
        array = _array(candidates)
        lib.llama_sampler_apply(sampler, ctypes.byref(array))
        chosen = array.data[array.selected]
        return int(chosen.id), float(chosen.p)

    def mask(self, output: int, allowed: bytes, banned: Sequence[int]) -> None:
        """Give every other token the logit -inf, so that llama.cpp's sampler chain takes none of
        them: twenty times as fast as `choose` where most tokens are allowed. `banned`: always the
        same ones."""
        if allowed != self._allowed:  # inside a text it is the same for many tokens
            left = self._bits(allowed)
            left[list(banned)] = False
            self._gone = np.logical_not(left, out=left)
            self._allowed = allowed
        np.copyto(self._logits(output), -np.inf, where=self._gone)

    def _bits(self, allowed: bytes) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        bits = np.frombuffer(allowed, np.uint8)
        return np.unpackbits(bits, count=self._n_vocab, bitorder="little").view(np.bool_)

    def logprobs(self, output: int, token: int, top: int) -> list[tuple[int, float]]:
        """See `LlamaSampler.logprobs`."""
        logits = self._logits(output)
        highest = float(logits.max())
        total = highest + math.log(float(np.exp(logits - highest, dtype=np.float64).sum()))
        likeliest = np.argpartition(logits, -top)[-top:] if top else np.empty(0, np.int64)
        likeliest = likeliest[np.argsort(-logits[likeliest])]
        return [(int(i), float(logits[i]) - total) for i in (token, *likeliest)]

    def _logits(self, output: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
        pointer = lib.llama_get_logits_ith(self._context, output)
        row = self._row.from_address(ctypes.addressof(pointer.contents))
        return np.ctypeslib.as_array(row)


def _array(candidates: "np.ndarray[tuple[int], np.dtype[np.void]]") -> lib.llama_token_data_array:
    data = candidates.ctypes.data_as(lib.llama_token_data_p)
    return lib.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)
