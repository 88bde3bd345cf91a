"""How much of the files that a message has with it fits into the context.

Those of one message get half of the context at most, whatever else the chat has: so the same part
of a file is in the prompt turn after turn, and what was computed of it stays of use.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from appliance.engine.protocol import AttachedFit
from appliance.engine.types import AttachedText, ChatMessage, ChatPrompt, with_attached
from appliance.worker.prompt_tokenizer import PromptTokenizer
from appliance.worker.runners.base import Runner

KNOWN = 256
"""Texts whose lengths are remembered."""
FRAME = 24
"""Tokens that stand around a text."""
BACK = 10
"""A cut is moved back to the end of a line or word within the last tenth of what fits."""


class AttachedTexts:
    """Lives on the intake's threads, one at a time."""

    def __init__(self, runner: Runner, tokenizer: PromptTokenizer) -> None:
        self._runner = runner
        self._tokenizer = tokenizer
        self._count = lru_cache(KNOWN)(self._counted)
        self._cut = lru_cache(KNOWN)(self._cut_at)

    def put_in(self, prompt: ChatPrompt) -> tuple[ChatPrompt, list[AttachedFit]]:
        """The prompt with the texts in its messages; how much is shown of those of the last message
        that has some."""
        if not any(message.attached for message in prompt.messages):
            return prompt, []
        messages: list[ChatMessage] = []
        last: list[AttachedFit] = []
        for message in prompt.messages:
            if message.attached:
                last = self.fits(message.attached)
                messages.append(with_attached(message, [fit.shown for fit in last]))
            else:
                messages.append(message)
        return msgspec.structs.replace(prompt, messages=messages), last

    def fits(self, texts: Sequence[AttachedText]) -> list[AttachedFit]:
        """How long each of a message's texts is, and how much of it is shown.

        Short ones are shown whole; the others share what is left.
        """
        tokens = [self._count(it.text) for it in texts]
        left = self._runner.info.n_ctx // 2 - FRAME * len(texts)
        shares = [0] * len(texts)
        order = sorted(range(len(texts)), key=lambda index: tokens[index])
        for done, index in enumerate(order):
            shares[index] = max(0, min(tokens[index], left // (len(texts) - done)))
            left -= shares[index]
        return [
            AttachedFit(count, None if share >= count else self._cut(it.text, share))
            for it, count, share in zip(texts, tokens, shares, strict=True)
        ]

    def _counted(self, text: str) -> int:
        return sum(len(tokens) for _, tokens in self._tokenizer.sliced(text))

    def _cut_at(self, text: str, most: int) -> int:
        """How many characters `most` tokens are, up to the end of a line or word."""
        end = 0
        for part, tokens in self._tokenizer.sliced(text):
            if len(tokens) > most:
                kept = b"".join(map(self._runner.token_to_bytes, tokens[:most]))
                end += min(len(part), len(kept.decode("utf-8", "ignore")))
                break
            end += len(part)
            most -= len(tokens)
        start = end - end // BACK
        found = max(text.rfind("\n", start, end), 0) or max(text.rfind(" ", start, end), 0)
        return found + 1 if found else end
