"""Choosing tokens with llama.cpp's own samplers, of those that a constraint leaves."""

import math
from array import array
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from appliance.engine.types import SamplingParams
from appliance.errors import RequestError
from appliance.worker.constraints.constraint import Constraint
from appliance.worker.runners.base import DecodeFailed
from appliance.worker.runners.llama_cpp.chain import SampledVocabulary, SamplerChain
from appliance.worker.runners.llama_cpp.native.bindings import lib

if TYPE_CHECKING:
    from appliance.worker.runners.llama_cpp.logits import Candidates


class LlamaSampler:
    """The sampler chain of one sequence, in the order of llama.cpp's programs.

    Without a constraint everything about a token happens in native code.
    """

    def __init__(
        self,
        context: int,
        vocabulary: SampledVocabulary,
        params: SamplingParams,
        *,
        seed: int,
        prompt: Sequence[int],
        ending: list[int],
        constraint: Constraint | None = None,
        written: Sequence[int] = (),
    ) -> None:
        """`prompt`: its tokens; `ending`: tokens that end a reply; `written`:
        what there is of the reply already.

        Raises:
            RequestError: the constraint has become too complex.
        """
        self._context = context
        self._n_vocab = vocabulary.size
        self._constraint = constraint
        self._keeps_logits = params.logprobs is not None
        if constraint or params.logprobs is not None:
            _ = self._candidates  # loaded here, while the step loop goes on
        self._singly = params.logprobs is not None
        """Every token has its own logits."""
        self.groups = self._read(written)
        self._position = len(written)
        bias = dict(params.logit_bias)
        if params.ignore_eos:
            bias |= dict.fromkeys(ending, -math.inf)
        self._banned = [token for token, value in bias.items() if value == -math.inf]
        before = array("i", prompt)
        before.extend(written)
        self._chain = SamplerChain(vocabulary, params, seed=seed, before=before, bias=bias)
        if self.mirostat_mu is not None:
            _ = self._candidates

    @property
    def mirostat_mu(self) -> float | None:
        return self._chain.mirostat_mu

    @mirostat_mu.setter
    def mirostat_mu(self, mu: float | None) -> None:
        self._chain.mirostat_mu = mu

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
        self._chain.new_random_numbers(self._position)
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
            if self.mirostat_mu is not None:
                chosen = self._from_array(output, None)
                return [] if chosen is None else [chosen]
            sampled = int(lib.llama_sampler_sample(self._chain.handle, self._context, output))
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
            self._chain.accept(token)
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
        if not (self._keeps_logits or self.mirostat_mu is not None):
            self._candidates.mask(output, allowed, self._banned)
            sampled = int(lib.llama_sampler_sample(self._chain.handle, self._context, output))
            if lib.llama_get_logits_ith(self._context, output)[sampled] != -math.inf:
                self._check(output, sampled)
                return sampled
        return self._from_array(output, allowed)

    def _from_array(self, output: int, allowed: bytes | None) -> int | None:
        """As `_choose`, and the logits stay as they are."""
        found = self._candidates.choose(output, self._chain.handle, allowed, self._banned)
        if found is None:
            return None
        token, probability = found
        self._check(output, token)
        self._chain.accept(token)
        self._chain.chosen(probability)
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
        self._chain.close()
