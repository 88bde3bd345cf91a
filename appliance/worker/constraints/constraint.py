"""What a reply's next token may be, step by step."""

import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, NamedTuple

from appliance.errors import RequestError
from appliance.worker.constraints import check

if TYPE_CHECKING:
    from llguidance import LLMatcher

SLOW_SECONDS = 0.002
"""Processor time of a step, above which the next is computed in parallel to the others' steps."""


class Constraint:
    """The grammar of one reply, as far as the reply goes. Belongs to the step loop once made."""

    def __init__(
        self,
        matcher: "LLMatcher",
        *,
        n_vocab: int,
        ends: Collection[int],
        token_to_bytes: Callable[[int], bytes],
        param: str,
        beside: Executor,
        after: str = "",
        optional: bool = False,
        ahead: bool = True,
    ) -> None:
        """
        Args:
            matcher: of the grammar, at its beginning.
            n_vocab: tokens of the vocabulary.
            ends: tokens that end a reply.
            token_to_bytes: the text of a token.
            param: the field that a refusal names.
            beside: computes steps that take long.
            after: the text that the reply has to have before the grammar begins, as the end of a
                thought; empty: it begins at once.
            optional: the reply may end without that text.
            ahead: tokens that are certain are accepted at once; see `certain`.

        Raises:
            RequestError: the grammar lets nothing begin.
        """
        self._matcher = matcher
        self._token_to_bytes = token_to_bytes
        self._param = param
        self._beside = beside
        self._after = after.encode()
        self._before = b""
        self._optional = optional
        self._anything = _all_but(n_vocab, () if optional else ends) if after else b""
        self._ahead = ahead
        self._next: _Step | Future[_Step] = self._step()
        self._slow = False

    @property
    def ready(self) -> bool:
        """`allowed` and `certain` won't have to wait."""
        return not isinstance(self._next, Future) or self._next.done()

    @property
    def complete(self) -> bool:
        """The reply may end here."""
        return self._optional if self._after else self._matcher.is_accepting()

    def allowed(self) -> bytes | None:
        """A bit for each token of the vocabulary, the lowest first; None: the reply is over.

        Raises:
            RequestError: the grammar has become too complex.
        """
        return self._anything if self._after else self._known().mask

    def certain(self, most: int | None = None) -> list[int]:
        """Take the tokens that follow for certain: `allowed` is of what follows them.

        The grammar leaves one way to go on with, in the tokens that the model's vocabulary would
        make of it. `most`: so many of them, and the others later.

        Raises:
            RequestError: the grammar has become too complex.
        """
        if self._after:
            return []
        left = self._known().certain
        tokens = left[:most]
        del left[: len(tokens)]
        return tokens

    def accept(self, token: int) -> None:
        """`token` was chosen, one of those that were allowed; `certain` has nothing left.

        Raises:
            RequestError: the grammar has become too complex.
        """
        if self._after:
            self._think(self._token_to_bytes(token))
        elif self._slow:
            self._next = self._beside.submit(self._advance, token)
        else:
            self._next = self._advance(token)

    def _think(self, data: bytes) -> None:
        text = self._before + data
        if self._after in text:
            self._after = b""
        else:
            self._before = text[-len(self._after) :]

    def _known(self) -> "_Step":
        if isinstance(self._next, Future):
            self._next = self._next.result()
        return self._next

    def _advance(self, token: int) -> "_Step":
        began = time.thread_time()
        self._matcher.consume_token(token)
        step = self._step()
        self._slow = time.thread_time() - began > SLOW_SECONDS
        return step

    def _step(self) -> "_Step":
        matcher = self._matcher
        certain = matcher.compute_ff_tokens() if self._ahead else []
        if certain:
            matcher.consume_tokens(certain)
        mask = None if matcher.is_stopped() else matcher.compute_bitmask()
        if matcher.is_error():
            raise RequestError(
                f"{self._param}: the reply can't be kept to it: {check.reason(matcher)}",
                param=self._param,
            )
        return _Step(certain, mask)


class _Step(NamedTuple):
    """What may follow."""

    certain: list[int]
    mask: bytes | None
    """After those; None: nothing."""


def _all_but(n_vocab: int, tokens: Collection[int]) -> bytes:
    mask = bytearray(b"\xff" * ((n_vocab + 31) // 32 * 4))
    for token in tokens:
        mask[token // 8] &= ~(1 << token % 8)
    return bytes(mask)
