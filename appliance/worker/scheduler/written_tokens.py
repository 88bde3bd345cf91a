"""The tokens that replies were written with, for prompts that have the same text in them.

A text has many ways to be split into tokens. A model that samples writes `arg` and `uments` where
the tokenizer has one token, and the beginning of a forced call is tokenized by itself; so a chat
whose history is tokenized anew would differ from what was computed, and be computed again from
there. Where a prompt's text is the reply's, it gets the reply's tokens. Text that people write is
always tokenized as a whole. Pure Python.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from appliance.worker.scheduler.prompt_tokens import PromptTokens

MOST_TOKENS = 1 << 20
"""Of all that is kept; four bytes each."""
TRIED = 4
"""Sequences that have the most in common with a prompt."""
EDGE = 2
"""Tokens before a reply that its beginning may merge with, as line feeds do."""

Tokenize = Callable[[str], list[int]]
"""Of a text in the middle of a line."""


@dataclass(frozen=True, slots=True)
class _Written:
    tokens: PromptTokens
    replies: list[tuple[int, int]]
    """From which token to which, in order."""


class WrittenTokens:
    """Filled by the step loop, read by the intake's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[_Written] = []
        """The newest last."""

    def add(self, tokens: PromptTokens, reply_from: int) -> None:
        """A prompt with its reply, which begins after so many tokens."""
        replies = {(reply_from, len(tokens))}
        with self._lock:
            for one in self._kept[:]:
                common = one.tokens.common_prefix(tokens)
                replies |= {
                    (start, min(end, common)) for start, end in one.replies if start < common
                }
                if common == len(one.tokens):
                    self._kept.remove(one)
            self._kept.append(_Written(tokens, sorted(replies)))
            self._drop_oldest()

    def add_stored(self, stored: Iterable[PromptTokens]) -> None:
        """Chats of an earlier worker, in which replies may stand anywhere."""
        with self._lock:
            self._kept += [_Written(tokens, [(0, len(tokens))]) for tokens in stored]
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        total = sum(len(one.tokens) for one in self._kept)
        dropped = 0
        while total > MOST_TOKENS:
            total -= len(self._kept[dropped].tokens)
            dropped += 1
        del self._kept[:dropped]

    def forget(self, session: str) -> None:
        """Drop what belongs to a session, by its opaque name."""
        with self._lock:
            self._kept = [one for one in self._kept if one.tokens.scope.session != session]

    def adapted(
        self, prompt: PromptTokens, piece: Callable[[int], bytes], tokenize: Tokenize
    ) -> PromptTokens:
        """The prompt with the tokens of replies that are part of its text.

        Args:
            prompt: with the scope that it will have.
            piece: a token's text, or what no text has if it isn't text.
            tokenize: for what is left of a token that a reply ended in.
        """
        with self._lock:
            kept = [one for one in self._kept if one.tokens.scope.shares_with(prompt.scope)]
        kept.sort(key=lambda one: one.tokens.common_prefix(prompt))
        best, longest = prompt, 0
        for one in reversed(kept[-TRIED:]):
            found = _adapted(one, prompt, piece, tokenize)
            common = one.tokens.common_prefix(found)
            if common > longest:
                best, longest = found, common
        return best


def _adapted(
    one: _Written, prompt: PromptTokens, piece: Callable[[int], bytes], tokenize: Tokenize
) -> PromptTokens:
    held = list(one.tokens)
    while True:
        at = one.tokens.common_prefix(prompt)
        index = bisect_right(one.replies, at + EDGE, key=lambda reply: reply[0]) - 1
        if index < 0 or not at < one.replies[index][1] or at == len(prompt):
            return prompt
        new = list(prompt)
        found = _align(held[: one.replies[index][1]], new, at, piece)
        if found is None:
            return prompt
        end, after, left = found
        try:
            rest = tokenize(left.decode()) if left else []
        except UnicodeDecodeError:
            return prompt
        if b"".join(map(piece, rest)) != left:
            return prompt
        prompt = PromptTokens(held[:end] + rest + new[after:], prompt.scope)
        if one.tokens.common_prefix(prompt) <= at:
            return prompt


def _align(
    held: Sequence[int], new: Sequence[int], at: int, piece: Callable[[int], bytes]
) -> tuple[int, int, bytes] | None:
    """Where both have come to after the same text, from where they begin to differ; and of the last
    token of `new`, what it has beyond all of `held`. None: the texts differ."""
    ours = theirs = b""
    end = after = at
    while True:
        if len(ours) <= len(theirs):
            if end == len(held):
                return end, after, theirs
            ours += piece(held[end])
            end += 1
        else:
            if after == len(new):
                return None
            theirs += piece(new[after])
            after += 1
        size = min(len(ours), len(theirs))
        if ours[:size] != theirs[:size]:
            return None
        ours, theirs = ours[size:], theirs[size:]
        if not ours and not theirs and after > at:
            return end, after, b""
