"""Choosing tokens with llama.cpp's own samplers: chains, grammars, log probabilities."""

import ctypes
import json
import math
from collections.abc import Iterable
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
from llama_cpp.llama_grammar import json_schema_to_gbnf

from appliance.engine.inputs import SamplingParams
from appliance.engine.runners.llama_library import reading_request
from appliance.errors import RequestError

PENALTY_LAST_N = 64
"""Tokens that the penalties look back on; llama.cpp's own default."""

Handle = Any
"""A pointer to a native sampler, which the bindings do not tell from others."""

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama.cpp's `llama_token_data`."""


class LlamaSampler:
    """The sampler chain of one sequence, in the order of llama.cpp's programs.

    Without a grammar everything about a token happens in native code.
    """

    def __init__(
        self,
        context: int,
        vocab: int,
        params: SamplingParams,
        *,
        seed: int,
        recent: Iterable[int],
        ending: list[int],
    ) -> None:
        """`recent`: the last tokens of the prompt; `ending`: tokens that end a reply.

        Raises:
            RequestError: grammar or schema cannot be used; `param` names the field.
        """
        self._context = context
        self._n_vocab = lib.llama_vocab_n_tokens(vocab)
        self._grammar = _grammar(vocab, params)
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        bias = dict(params.logit_bias)
        if params.ignore_eos:
            bias |= dict.fromkeys(ending, -math.inf)
        if bias:
            self._add(_logit_bias(self._n_vocab, bias))
        penalties = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
        if penalties != (1.0, 0.0, 0.0):
            self._add(_penalties(self._n_vocab, penalties, recent))
        if params.temperature <= 0:
            self._add(lib.llama_sampler_init_greedy())
            return
        if params.top_k > 0:
            self._add(lib.llama_sampler_init_top_k(params.top_k))
        if params.top_p < 1:
            self._add(lib.llama_sampler_init_top_p(params.top_p, 1))
        if params.min_p > 0:
            self._add(lib.llama_sampler_init_min_p(params.min_p, 1))
        self._add(lib.llama_sampler_init_temp(params.temperature))
        self._add(lib.llama_sampler_init_dist(seed))

    def _add(self, sampler: Handle) -> None:
        lib.llama_sampler_chain_add(self._chain, sampler)

    def sample(self, output: int) -> int:
        if self._grammar is None:
            return int(lib.llama_sampler_sample(self._chain, self._context, output))
        token = self._choose(output, checked=False)
        if not self._allowed(token):
            # Only now is the grammar asked about the whole vocabulary, which takes long.
            token = self._choose(output, checked=True)
        lib.llama_sampler_accept(self._grammar, token)
        lib.llama_sampler_accept(self._chain, token)
        return token

    def logprobs(self, output: int, token: int, top: int) -> list[tuple[int, float]]:
        """The token and then the `top` likeliest ones, with the logarithms of what the model, not
        the sampler, gives them."""
        logits = self._logits(output)
        highest = float(logits.max())
        total = highest + math.log(float(np.exp(logits - highest, dtype=np.float64).sum()))
        likeliest = np.argpartition(logits, -top)[-top:] if top else np.empty(0, np.int64)
        likeliest = likeliest[np.argsort(-logits[likeliest])]
        return [(int(i), float(logits[i]) - total) for i in (token, *likeliest)]

    def close(self) -> None:
        lib.llama_sampler_free(self._chain)
        if self._grammar is not None:
            lib.llama_sampler_free(self._grammar)

    def _logits(self, output: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
        pointer = lib.llama_get_logits_ith(self._context, output)
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))

    def _choose(self, output: int, *, checked: bool) -> int:
        candidates = np.zeros(self._n_vocab, _CANDIDATE)
        candidates["id"] = np.arange(self._n_vocab, dtype=np.int32)
        candidates["logit"] = self._logits(output)
        array = _array(candidates)
        if checked:
            lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def _allowed(self, token: int) -> bool:
        one = np.array([(token, 1.0, 0.0)], _CANDIDATE)
        array = _array(one)
        lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return bool(np.isfinite(one["logit"][0]))


def _array(candidates: "np.ndarray[tuple[int], np.dtype[np.void]]") -> lib.llama_token_data_array:
    data = candidates.ctypes.data_as(lib.llama_token_data_p)
    return lib.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)


def _grammar(vocab: int, params: SamplingParams) -> Handle | None:
    text, param = params.grammar, "grammar"
    if params.json_schema is not None:
        param = "response_format"
        try:
            json.loads(params.json_schema)
            text = json_schema_to_gbnf(params.json_schema)
        except Exception as ex:  # the converter raises whatever a strange schema leads it to
            raise RequestError(f"the JSON schema cannot be used: {ex}", param=param) from ex
    if text is None:
        return None
    with reading_request():
        sampler = lib.llama_sampler_init_grammar(vocab, text.encode(), b"root")
    if not sampler:
        raise RequestError(f"{param} is no grammar that llama.cpp understands", param=param)
    return sampler


def _penalties(
    n_vocab: int, penalties: tuple[float, float, float], recent: Iterable[int]
) -> Handle:
    sampler: Handle = lib.llama_sampler_init_penalties(n_vocab, PENALTY_LAST_N, *penalties)
    for token in recent:
        lib.llama_sampler_accept(sampler, token)
    return sampler


def _logit_bias(n_vocab: int, bias: dict[int, float]) -> Handle:
    entries = (lib.llama_logit_bias * len(bias))()
    for entry, (token, value) in zip(entries, bias.items(), strict=True):
        entry.token, entry.bias = token, value
    sampler: Handle = lib.llama_sampler_init_logit_bias(n_vocab, len(bias), entries)
    return sampler
