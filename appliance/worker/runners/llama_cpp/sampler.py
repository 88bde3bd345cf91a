"""Choosing tokens with llama.cpp's own samplers: chains, grammars, log probabilities."""

import json
import math
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from appliance.engine.types import SamplingParams
from appliance.errors import RequestError
from appliance.worker.runners.base import DecodeFailed
from appliance.worker.runners.llama_cpp.native.bindings import Handle, json_schema_to_gbnf, lib
from appliance.worker.runners.llama_cpp.native.library import reading_request

if TYPE_CHECKING:
    from appliance.worker.runners.llama_cpp.logits import Candidates

PENALTY_LAST_N = 64
"""Tokens that the penalties look back on; llama.cpp's own default."""


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
        """The next token.

        Raises:
            DecodeFailed: what the model computed are no numbers.
        """
        if self._grammar is None:
            token = int(lib.llama_sampler_sample(self._chain, self._context, output))
            self._check(output, token)
            return token
        candidates = self._candidates
        token = candidates.choose(output, [self._chain])
        self._check(output, token)
        if not candidates.allowed(token, self._grammar):
            # Only now is the grammar applied to the whole vocabulary, which takes long.
            token = candidates.choose(output, [self._grammar, self._chain])
        lib.llama_sampler_accept(self._grammar, token)
        lib.llama_sampler_accept(self._chain, token)
        return token

    def _check(self, output: int, token: int) -> None:
        """Of damaged weights come no numbers, and a token all the same."""
        if not math.isfinite(lib.llama_get_logits_ith(self._context, output)[token]):
            raise DecodeFailed("no token has a probability: the model's weights may be damaged")

    def logprobs(self, output: int, token: int, top: int) -> list[tuple[int, float]]:
        """The token and then the `top` likeliest ones, with the logarithms of what the model, not
        the sampler, gives them."""
        return self._candidates.logprobs(output, token, top)

    @cached_property
    def _candidates(self) -> "Candidates":
        # NumPy comes with it, which takes longer to load than a small model.
        from appliance.worker.runners.llama_cpp.logits import Candidates

        return Candidates(self._context, self._n_vocab)

    def close(self) -> None:
        lib.llama_sampler_free(self._chain)
        if self._grammar is not None:
            lib.llama_sampler_free(self._grammar)


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
