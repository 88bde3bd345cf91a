"""Prompts become sequences: rendered, tokenized, measured. Lives on the intake thread."""

import logging
import queue
import random
import threading
from array import array
from collections.abc import Callable

from appliance.engine.outbox import Outbox
from appliance.engine.prompts import PromptReader
from appliance.engine.protocol import (
    Cancel,
    ChatPrompt,
    Failed,
    Generate,
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
        self._reader = PromptReader(runner, template)
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
        self._outbox.send([sequence.accepted(self._runner.info.n_ctx)])
        return sequence

    def _sequence(self, command: Generate) -> Sequence:
        n_ctx = self._runner.info.n_ctx
        read = self._reader.read(command.prompt, command.sampling)
        sampling, tokens = read.sampling, read.tokens
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
            parser=read.parser,
            seed=seed,
            limit=room if sampling.max_tokens is None else min(room, sampling.max_tokens),
            dropped_messages=read.dropped_messages,
            session=command.session,
            owner=command.owner,
        )
