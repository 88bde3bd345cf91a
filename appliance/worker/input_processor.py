"""Prompts become sequences, and texts inputs for embeddings: rendered, tokenized, measured.
Lives on the intake thread."""

import logging
import queue
import random
import threading
from array import array
from collections.abc import Callable

from appliance.engine.protocol import Cancel, Embed, Event, Failed, Generate
from appliance.engine.types import ChatPrompt
from appliance.errors import ApplianceError, ContextLengthExceeded, InternalError, RequestError
from appliance.worker.chat_template.sandbox import TemplateGuard
from appliance.worker.prompt_reader import PromptReader
from appliance.worker.runners.base import Runner
from appliance.worker.scheduler.embedding import EmbeddingJob
from appliance.worker.scheduler.sequence import Sequence

log = logging.getLogger(__name__)


class Intake:
    """Prompts → sequences, for the step loop to take; in order, also with what cancels them."""

    def __init__(
        self,
        runner: Runner,
        template: TemplateGuard,
        send: Callable[[list[Event]], None],
        arrive: Callable[[Sequence | EmbeddingJob | Cancel], None],
    ) -> None:
        """`arrive` hands over to the step loop."""
        self._runner = runner
        self._reader = PromptReader(runner, template)
        self._send = send
        self._arrive = arrive
        self._commands: queue.SimpleQueue[Generate | Embed | Cancel] = queue.SimpleQueue()

    def start(self) -> None:
        """Start the intake thread, which ends with the process."""
        threading.Thread(target=self._run, name="intake", daemon=True).start()

    def put(self, command: Generate | Embed | Cancel) -> None:
        """From any thread."""
        self._commands.put(command)

    def _run(self) -> None:
        while True:
            command = self._commands.get()
            if isinstance(command, Cancel):
                self._arrive(command)
            elif read := self._accept(command):
                self._arrive(read)

    def _accept(self, command: Generate | Embed) -> Sequence | EmbeddingJob | None:
        """What is to be computed, after telling that it was accepted; None when it was refused."""
        read: Sequence | EmbeddingJob
        try:
            read = self._job(command) if isinstance(command, Embed) else self._sequence(command)
        except ApplianceError as ex:
            self._send([Failed(command.id, ex.code, ex.message, ex.param)])
            return None
        except Exception:
            log.exception("prompt of request %d could not be read", command.id)
            fault = InternalError("the prompt could not be read")
            self._send([Failed(command.id, fault.code, fault.message)])
            return None
        self._send([read.accepted(self._runner.info.n_ctx)])
        return read

    def _job(self, command: Embed) -> EmbeddingJob:
        model = self._runner.embedding_model()
        if command.dimensions not in (None, model.dimensions):
            raise RequestError(
                f"this model's embeddings have {model.dimensions} dimensions, and no others",
                param="dimensions",
            )
        inputs = []
        for number, prompt in enumerate(command.inputs):
            tokens = self._reader.read_input(prompt, f"input[{number}]")
            if len(tokens) > model.longest:
                raise ContextLengthExceeded(
                    f"input[{number}] has {len(tokens)} tokens, "
                    f"and an input may have {model.longest}",
                    param=f"input[{number}]",
                )
            inputs.append(array("i", tokens))
        return EmbeddingJob(command.id, inputs)

    def _sequence(self, command: Generate) -> Sequence:
        if not self._runner.generates:
            raise RequestError("this model gives embeddings, and writes no text", param="model")
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
