"""Choosing tokens with llama.cpp's own samplers, of those that a constraint leaves."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from appliance.engine.types import SamplingParams
from appliance.errors import RequestError
from appliance.worker.constraints.constraint import Constraint
from appliance.worker.runners.base import DecodeFailed
from appliance.worker.runners.llama_cpp.native.bindings import Handle, lib
from appliance.worker.runners.seeds import seed_at

if TYPE_CHECKING:
    from appliance.worker.runners.llama_cpp.logits import Candidates

PENALTY_LAST_N = 64
"""Tokens that the penalties look back on; llama.cpp's own default."""


class LlamaSampler:
    """The sampler chain of one sequence, in the order of llama.cpp's programs.

    Without a constraint everything about a token happens in native code.
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
        constraint: Constraint | None = None,
        written: Sequence[int] = (),
    ) -> None:
        """`recent`: the last tokens of the prompt; `ending`: tokens that end a reply; `written`:
        what there is of the reply already.

        Raises:
            RequestError: the constraint has become too complex.
        """
        self._context = context
        self._n_vocab = lib.llama_vocab_n_tokens(vocab)
        self._constraint = constraint
        self._keeps_logits = params.logprobs is not None
        if constraint or params.logprobs is not None:
            _ = self._candidates  # loaded here, while the step loop goes on
        self._singly = params.logprobs is not None
        """Every token has its own logits."""
        self.groups = self._read(written)
        self._seed, self._position = seed, len(written)
        self._added = 0
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        bias = dict(params.logit_bias)
        if params.ignore_eos:
            bias |= dict.fromkeys(ending, -math.inf)
        self._banned = [token for token, value in bias.items() if value == -math.inf]
        if bias:
            self._add(_logit_bias(self._n_vocab, bias))
        penalties = (params.repeat_penalty, params.frequency_penalty, params.presence_penalty)
        if penalties != (1.0, 0.0, 0.0):
            self._add(_penalties(self._n_vocab, penalties, [*recent, *written]))
        self._random = -1
        """Where in the chain tokens are drawn by chance; -1: nowhere."""
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
        self._random = self._added
        self._add(lib.llama_sampler_init_dist(seed))

    def _add(self, sampler: Handle) -> None:
        self._added += 1
        lib.llama_sampler_chain_add(self._chain, sampler)

    @property
    def ready(self) -> bool:
        return self._constraint is None or self._constraint.ready

    def _read(self, written: Sequence[int]) -> list[int]:
        """Take over what another sampler chose; returns `groups`."""
        if self._constraint is None:
            return [1] * len(written)
        groups: list[int] = []
        for token in written:
            certain = self._constraint.certain(1)
            if not certain:
                self._constraint.accept(token)
            if certain and groups and not self._singly:
                groups[-1] += 1
            else:
                groups.append(1)
        return groups

    def _new_random_numbers(self) -> None:
        """Those of the next token; they depend on nothing else, so that a reply can go on in
        another process from its tokens alone."""
        if self._random >= 0:
            lib.llama_sampler_free(lib.llama_sampler_chain_remove(self._chain, self._random))
            self._add(lib.llama_sampler_init_dist(seed_at(self._seed, self._position)))
        self._position += 1

    def sample(self, output: int) -> list[int]:
        """The next tokens; none: the reply is over.

        Raises:
            DecodeFailed: what the model computed are no numbers.
            RequestError: nothing is left that the reply may go on with.
        """
        constraint = self._constraint
        if constraint is None:
            self._new_random_numbers()
            sampled = int(lib.llama_sampler_sample(self._chain, self._context, output))
            self._check(output, sampled)
            return [sampled]
        if certain := self._certain(constraint):
            return certain
        self._new_random_numbers()
        token = self._chosen(output, constraint)
        if token is None:
            return []
        return [token, *([] if self._singly or not self.ready else self._certain(constraint))]

    def _certain(self, constraint: Constraint) -> list[int]:
        tokens = constraint.certain(1 if self._singly else None)
        for token in tokens:
            lib.llama_sampler_accept(self._chain, token)
        self._position += len(tokens)
        return tokens

    def _chosen(self, output: int, constraint: Constraint) -> int | None:
        allowed = constraint.allowed()
        if allowed is None:
            return None
        token = self._choose(output, allowed)
        if token is None:
            if constraint.complete:
                return None
            message = "logit_bias or ignore_eos leaves nothing of what the reply has to keep to"
            raise RequestError(message, param="logit_bias")
        constraint.accept(token)
        return token

    def _choose(self, output: int, allowed: bytes) -> int | None:
        """The token that the chain takes of those that are allowed; None: there is none."""
        if not (self._keeps_logits or self._banned):
            self._candidates.mask(output, allowed)
            sampled = int(lib.llama_sampler_sample(self._chain, self._context, output))
            if lib.llama_get_logits_ith(self._context, output)[sampled] != -math.inf:
                self._check(output, sampled)
                return sampled
        token = self._candidates.choose(output, self._chain, allowed, self._banned)
        if token is not None:
            self._check(output, token)
            lib.llama_sampler_accept(self._chain, token)
        return token

    def _check(self, output: int, token: int) -> None:
        """Damaged weights give NaN logits, from which a token would be drawn all the same."""
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
