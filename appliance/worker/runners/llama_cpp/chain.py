"""llama.cpp's sampler chain, in the order of its server."""

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from appliance.engine.types import DEFAULT_SAMPLERS, SamplingParams
from appliance.worker.runners.llama_cpp.native.bindings import Handle, lib
from appliance.worker.runners.seeds import seed_at

MIROSTAT_M = 100
"""Tokens that the first version of mirostat goes by; what llama.cpp's programs use."""
LEAST_SHARE = 1e-30
"""Of the likeliest token's probability: `typical_p` takes the logarithm of what is left."""
XTC_STREAM = 1 << 32
"""Added to the seed, so that XTC's random numbers are others than those that draw the token."""


class SampledVocabulary(NamedTuple):
    """What samplers need of a model."""

    handle: int
    """llama.cpp's."""
    size: int
    n_ctx: int
    """Tokens of the context."""


class SamplerChain:
    """Owns native memory until closed."""

    def __init__(
        self,
        vocabulary: SampledVocabulary,
        params: SamplingParams,
        *,
        seed: int,
        before: Sequence[int],
        bias: dict[int, float],
    ) -> None:
        """`before`: the prompt's tokens and those of the reply so far."""
        self._vocabulary = vocabulary
        self._params = params
        self._seed = seed
        self._before: Sequence[int] = before
        self.handle: Handle = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._drawing: list[tuple[int, Callable[[int], Handle]]] = []
        """Where in the chain something is drawn by chance, and what makes that sampler for a
        position."""
        self._length = 0
        self.mirostat_mu: float | None = None
        """Twice the surprise that is aimed at, corrected with each token; None: no mirostat."""
        if bias:
            self._add(_logit_bias(vocabulary.size, bias))
        if self._greedy:
            self._build_greedy()
        elif params.mirostat:
            self.mirostat_mu = 2 * params.mirostat_tau
            self._add(lib.llama_sampler_init_temp(params.temperature))
            self._draw(self._mirostat)
        else:
            for name in self._order:
                self._build(name)
            self._draw(lambda at: lib.llama_sampler_init_dist(seed_at(seed, at)))
        self._before = ()  # which no sampler needs any more

    def close(self) -> None:
        """Free the native memory."""
        lib.llama_sampler_free(self.handle)

    def accept(self, token: int) -> None:
        """A token that something else chose."""
        lib.llama_sampler_accept(self.handle, token)

    def chosen(self, probability: float) -> None:
        """The last token's, among those that mirostat drew it from."""
        if self.mirostat_mu is not None and probability > 0:
            surprise = -math.log2(probability)
            params = self._params
            self.mirostat_mu -= params.mirostat_eta * (surprise - params.mirostat_tau)

    def new_random_numbers(self, position: int) -> None:
        """Those for the token at `position` of the reply; they depend on nothing else, so that a
        reply can go on in another process from its tokens alone."""
        # From the end: a sampler that is added goes behind all that are there.
        first = self._drawing[0][0] if self._drawing else self._length
        places = range(first, self._length)
        removed = {at: lib.llama_sampler_chain_remove(self.handle, at) for at in reversed(places)}
        for at, make in self._drawing:
            lib.llama_sampler_free(removed[at])
            removed[at] = make(position)
        for at in places:
            lib.llama_sampler_chain_add(self.handle, removed[at])

    # -- inside ------------------------------------------------------------------------------------

    @property
    def _order(self) -> tuple[str, ...]:
        return self._params.samplers or DEFAULT_SAMPLERS

    @property
    def _greedy(self) -> bool:
        params = self._params
        if params.mirostat:
            return params.temperature <= 0
        fixed = params.temperature <= 0 and params.dynatemp_range <= 0
        return fixed and "temperature" in self._order

    def _build_greedy(self) -> None:
        """The likeliest token. All that leaves it in its place can be left out."""
        params = self._params
        if not params.mirostat:
            removes = params.typical_p < 1 or params.xtc_probability > 0 or "infill" in self._order
            for name in self._order:
                if name != "temperature" and (removes or name in ("penalties", "dry")):
                    self._build(name)
        self._add(lib.llama_sampler_init_greedy())

    def _add(self, sampler: Handle) -> None:
        self._length += 1
        lib.llama_sampler_chain_add(self.handle, sampler)

    def _draw(self, make: Callable[[int], Handle]) -> None:
        self._drawing.append((self._length, make))
        self._add(make(0))

    def _build(self, name: str) -> None:
        """The sampler of that name, unless it is off."""
        if name == "xtc":
            params = self._params
            # Above a half there are never two of them.
            if params.xtc_probability > 0 and params.xtc_threshold <= 0.5:
                self._draw(self._xtc)
            return
        for sampler in (*self._penalising(name), *self._leaving_out(name)):
            self._add(sampler)

    def _penalising(self, name: str) -> Iterator[Handle]:
        params = self._params
        if name == "penalties":
            given = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
            last_n = self._looked_back(params.repeat_last_n)
            if given != (1.0, 0.0, 0.0) and last_n:
                size = self._vocabulary.size
                yield self._after(lib.llama_sampler_init_penalties(size, last_n, *given), last_n)
        elif name == "dry" and params.dry_multiplier:
            last_n = self._looked_back(params.dry_penalty_last_n)
            if last_n:
                yield self._after(self._dry(last_n), last_n)

    def _leaving_out(self, name: str) -> Iterator[Handle]:
        params = self._params
        match name:
            case "top_n_sigma" if params.top_n_sigma > 0:
                yield lib.llama_sampler_init_top_n_sigma(params.top_n_sigma)
            case "top_k" if params.top_k > 0:
                yield lib.llama_sampler_init_top_k(params.top_k)
            case "typ_p" if params.typical_p < 1:
                yield lib.llama_sampler_init_min_p(LEAST_SHARE, 1)
                yield lib.llama_sampler_init_typical(params.typical_p, 1)
            case "top_p" if params.top_p < 1:
                yield lib.llama_sampler_init_top_p(params.top_p, 1)
            case "min_p" if params.min_p > 0:
                yield lib.llama_sampler_init_min_p(params.min_p, 1)
            case "temperature" if params.dynatemp_range > 0:
                spread = (params.dynatemp_range, params.dynatemp_exponent)
                yield lib.llama_sampler_init_temp_ext(params.temperature, *spread)
            case "temperature":
                yield lib.llama_sampler_init_temp(params.temperature)
            case "infill":
                yield lib.llama_sampler_init_infill(self._vocabulary.handle)

    def _looked_back(self, last_n: int) -> int:
        n_ctx = self._vocabulary.n_ctx
        return n_ctx if last_n < 0 else min(last_n, n_ctx)

    def _after(self, sampler: Handle, last_n: int) -> Handle:
        """The sampler, which has seen what comes before."""
        for token in self._before[-last_n:]:
            lib.llama_sampler_accept(sampler, token)
        return sampler

    def _dry(self, last_n: int) -> Handle:
        params = self._params
        breakers = [text.encode() for text in params.dry_sequence_breakers]
        texts = (ctypes.c_char_p * len(breakers))(*breakers)
        length = params.dry_allowed_length
        return lib.llama_sampler_init_dry(
            self._vocabulary.handle,
            params.dry_multiplier,
            params.dry_base,
            length,
            last_n,
            texts,
            len(breakers),
        )

    def _xtc(self, position: int) -> Handle:
        params = self._params
        return lib.llama_sampler_init_xtc(
            params.xtc_probability,
            params.xtc_threshold,
            1,
            seed_at(self._seed + XTC_STREAM, position),
        )

    def _mirostat(self, position: int) -> Handle:
        """A new one for each token: half of its mu is what it takes for its aim at the beginning.
        What it learns of one token is `chosen`'s."""
        assert self.mirostat_mu is not None
        params, seed, aim = self._params, seed_at(self._seed, position), self.mirostat_mu / 2
        if params.mirostat == 1:
            return lib.llama_sampler_init_mirostat(
                self._vocabulary.size, seed, aim, params.mirostat_eta, MIROSTAT_M
            )
        return lib.llama_sampler_init_mirostat_v2(seed, aim, params.mirostat_eta)


def _logit_bias(n_vocab: int, bias: dict[int, float]) -> Handle:
    entries = (lib.llama_logit_bias * len(bias))()
    for entry, (token, value) in zip(entries, bias.items(), strict=True):
        entry.token, entry.bias = token, value
    sampler: Handle = lib.llama_sampler_init_logit_bias(n_vocab, len(bias), entries)
    return sampler
