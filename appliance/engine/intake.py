"""Prompts become sequences: rendered, tokenized, measured. Lives on the intake thread."""

import logging
import queue
import random
import threading
from array import array
from collections.abc import Callable

from appliance.engine.outbox import Outbox
from appliance.engine.protocol import (
    Cancel,
    ChatMessage,
    ChatPrompt,
    Failed,
    Generate,
    Prompt,
    SamplingParams,
    TextPrompt,
)
from appliance.engine.runners.base import Runner
from appliance.engine.sequence import Sequence
from appliance.engine.template_guard import TemplateGuard
from appliance.errors import ApplianceError, ContextLengthExceeded, InternalError, RequestError

log = logging.getLogger(__name__)


class Intake:
    """Prompts → sequences, for the step loop to take; in order, also with what cancels them."""

    def __init__(
        self,
        runner: Runner,
        template: TemplateGuard,
        outbox: Outbox,
        arrive: Callable[[Sequence | Cancel], None],
    ) -> None:
        """`arrive` hands over to the step loop."""
        self._runner = runner
        self._template = template
        self._outbox = outbox
        self._arrive = arrive
        self._commands: queue.SimpleQueue[Generate | Cancel] = queue.SimpleQueue()

    def start(self) -> None:
        """Start the intake thread, which ends with the process."""
        threading.Thread(target=self._run, name="intake", daemon=True).start()

    def put(self, command: Generate | Cancel) -> None:
        """From any thread."""
        self._commands.put(command)

    def _run(self) -> None:
        while True:
            command = self._commands.get()
            if isinstance(command, Cancel):
                self._arrive(command)
            elif sequence := self._accept(command):
                self._arrive(sequence)

    def _accept(self, command: Generate) -> Sequence | None:
        """The sequence, after telling that it was accepted; None when it was refused."""
        try:
            sequence = self._sequence(command)
        except ApplianceError as ex:
            self._outbox.send([Failed(command.id, ex.code, ex.message, ex.param)])
            return None
        except Exception:
            log.exception("prompt of request %d could not be read", command.id)
            fault = InternalError("the prompt could not be read")
            self._outbox.send([Failed(command.id, fault.code, fault.message)])
            return None
        self._outbox.send([sequence.accepted()])
        return sequence

    def _sequence(self, command: Generate) -> Sequence:
        n_ctx = self._runner.info.n_ctx
        sampling = command.sampling
        if not all(0 <= token < self._runner.n_vocab for token, _ in sampling.logit_bias):
            raise RequestError("logit_bias names a token that is none", param="logit_bias")
        tokens, dropped = self._tokens(command.prompt, n_ctx - _reserve(sampling, n_ctx))
        if not tokens:
            raise RequestError("the prompt is empty", param="prompt")
        if len(tokens) >= n_ctx:
            raise ContextLengthExceeded(
                f"the prompt has {len(tokens)} tokens, and the context holds {n_ctx}, "
                "at least one of which is for the reply",
                param="messages" if isinstance(command.prompt, ChatPrompt) else "prompt",
            )
        room = n_ctx - len(tokens)
        seed = sampling.seed if sampling.seed is not None else random.getrandbits(32)
        return Sequence(
            command.id,
            array("i", tokens),
            sampling,
            sampler=self._runner.sampler(sampling, seed, tokens[-64:]),
            seed=seed,
            limit=room if sampling.max_tokens is None else min(room, sampling.max_tokens),
            dropped_messages=dropped,
            session=command.session,
        )

    def _tokens(self, prompt: Prompt, wanted: int) -> tuple[list[int], int]:
        """The prompt's tokens, and how many messages were left out to get down to `wanted`."""
        runner = self._runner
        if isinstance(prompt, ChatPrompt):
            return self._chat_tokens(prompt, wanted)
        if isinstance(prompt, TextPrompt):
            return runner.with_bos(runner.tokenize(prompt.text, control=True)), 0
        n_vocab = runner.n_vocab
        if not all(0 <= token < n_vocab for token in prompt.tokens):
            raise RequestError(f"tokens must lie between 0 and {n_vocab - 1}", param="prompt")
        return prompt.tokens, 0

    def _chat_tokens(self, prompt: ChatPrompt, wanted: int) -> tuple[list[int], int]:
        system = [m for m in prompt.messages[:1] if m.role == "system"]
        rest = prompt.messages[len(system) :]
        tokens = self._rendered(prompt.messages)
        dropped = 0
        # A question and its answer go together: many templates want the user to speak first.
        while prompt.trim and len(tokens) > wanted and len(rest) - dropped > 1:
            dropped = min(dropped + 2, len(rest) - 1)
            tokens = self._rendered(system + rest[dropped:])
        return tokens, dropped

    def _rendered(self, messages: list[ChatMessage]) -> list[int]:
        tokens: list[int] = []
        for text, control in self._template.render(messages):
            tokens += self._runner.tokenize(text, control=control)
        return self._runner.with_bos(tokens)


def _reserve(sampling: SamplingParams, n_ctx: int) -> int:
    """Tokens of the context that trimming keeps free for the reply."""
    quarter = n_ctx // 4
    return quarter if sampling.max_tokens is None else min(sampling.max_tokens, quarter)
