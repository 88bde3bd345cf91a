"""Prompts become sequences, and texts inputs for embeddings: read, measured, handed over."""

import logging
import random
import threading
from array import array
from collections.abc import Callable

import msgspec

from appliance.engine.kv_files import opaque
from appliance.engine.protocol import (
    AttachedFit,
    Begun,
    Cancel,
    Embed,
    Event,
    Failed,
    Finished,
    Generate,
    TextResult,
    cancelled,
)
from appliance.engine.types import (
    ChatPrompt,
    EmbedRequest,
    GenerationRequest,
    SamplingParams,
    TextRequest,
)
from appliance.errors import ApplianceError, ContextLengthExceeded, InternalError, RequestError
from appliance.worker.attached_texts import AttachedTexts
from appliance.worker.chat_template.sandbox import (
    SandboxedGrammars,
    SandboxedTemplate,
)
from appliance.worker.constraints.compiler import ConstraintCompiler, Wanted
from appliance.worker.constraints.constraint import Constraint
from appliance.worker.intake_queue import Cancelled, IntakeQueue, Ticket
from appliance.worker.prompt_tokenizer import PromptTokenizer
from appliance.worker.runners.base import Runner
from appliance.worker.scheduler.embedding import EmbeddingJob
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope
from appliance.worker.scheduler.sequence import Sequence
from appliance.worker.scheduler.written_tokens import WrittenTokens
from appliance.worker.text_work import text_result

log = logging.getLogger(__name__)


class InputProcessor:
    """Prompts → sequences, for the step loop to take.

    Each request has a thread, and they take turns: a prompt is tokenized in slices, and others go
    between two of them.
    """

    def __init__(
        self,
        runner: Runner,
        template: SandboxedTemplate,
        grammars: SandboxedGrammars,
        send: Callable[[list[Event]], None],
        enqueue: Callable[[Sequence | EmbeddingJob | Cancel], None],
        written: WrittenTokens,
    ) -> None:
        """`enqueue` hands over to the step loop, which fills `written`."""
        self._runner = runner
        self._turns = IntakeQueue()
        self._tokenizer = PromptTokenizer(runner, template, self._turns.pass_on)
        self._attached = AttachedTexts(runner, self._tokenizer)
        self._constraints = ConstraintCompiler(runner, grammars.refusal)
        self._send = send
        self._enqueue = enqueue
        self._written = written
        self._lock = threading.Lock()
        self._read: dict[int, Ticket] = {}
        """Requests that the step loop doesn't have yet."""

    def put(self, command: Generate | Embed | Cancel) -> None:
        """From one thread, in order."""
        if isinstance(command, Cancel):
            self._cancel(command)
            return
        ticket = self._turns.join(command.id)
        with self._lock:
            self._read[command.id] = ticket
        threading.Thread(
            target=self._accept, args=(command, ticket), name="intake", daemon=True
        ).start()

    def reading(self) -> tuple[int, float]:
        """The request whose text has been worked on for longest without a pause, and seconds; 0, 0:
        there is none."""
        return self._turns.longest() or (0, 0.0)

    def _cancel(self, command: Cancel) -> None:
        with self._lock:
            ticket = self._read.get(command.id)
            if ticket is None:
                self._enqueue(command)
        if ticket:
            self._turns.cancel(ticket)

    def _accept(self, command: Generate | Embed, ticket: Ticket) -> None:
        """Report that it was accepted and hand it over, or report the error."""
        try:
            with self._turns.turn(ticket):
                self._hand_over(command, ticket)
        except Cancelled:
            begun = command.begun if isinstance(command, Generate) else None
            self._refuse(cancelled(command.id, begun=begun))
        except ApplianceError as ex:
            self._refuse(Failed(command.id, ex.code, ex.message, ex.param))
        except Exception:
            log.exception("prompt of request %d could not be read", command.id)
            fault = InternalError("the prompt could not be read")
            self._refuse(Failed(command.id, fault.code, fault.message))

    def _hand_over(self, command: Generate | Embed, ticket: Ticket) -> None:
        """Read it for the step loop; within its turn, so that requests keep their order."""
        read: Sequence | EmbeddingJob
        fits: list[AttachedFit] = []
        if isinstance(command, Embed) and isinstance(command.request, TextRequest):
            done = text_result(
                command.id,
                command.request,
                self._runner,
                self._tokenizer,
                self._written,
                self._attached,
            )
            self._refuse(done)
            return
        if isinstance(command, Embed):
            assert isinstance(command.request, EmbedRequest)
            read = self._job(command.id, command.request)
        else:
            request, fits = self._with_attached(command.request)
            read = self._sequence(command.id, request, command.begun)
        info = self._runner.info
        accepted = read.accepted(info.n_ctx)
        accepted = msgspec.structs.replace(accepted, fingerprint=info.fingerprint, attached=fits)
        self._send([accepted])
        with self._lock:
            del self._read[command.id]
            self._enqueue(read)
            if ticket.cancelled:
                self._enqueue(Cancel(command.id))

    def _with_attached(
        self, request: GenerationRequest
    ) -> tuple[GenerationRequest, list[AttachedFit]]:
        if not isinstance(request.prompt, ChatPrompt):
            return request, []
        prompt, fits = self._attached.put_in(request.prompt)
        return msgspec.structs.replace(request, prompt=prompt), fits

    def _refuse(self, answer: Finished | Failed | TextResult) -> None:
        self._send([answer])
        with self._lock:
            del self._read[answer.id]

    def _job(self, id: int, request: EmbedRequest) -> EmbeddingJob:
        model = self._runner.embedding_model()
        if model.ranks != (request.query is not None):
            does = "compares texts, and gives no embeddings" if model.ranks else "compares no texts"
            raise RequestError(f"this model {does}", param="model")
        if (request.dimensions or 0) > model.dimensions:
            raise RequestError(
                f"dimensions: this model's embeddings have {model.dimensions}", param="dimensions"
            )
        inputs = []
        for number, prompt in enumerate(request.inputs):
            self._turns.pass_on()
            tokens = self._tokenizer.read_input(prompt, f"input[{number}]", request.query)
            if len(tokens) > model.longest and request.truncate:
                del tokens[model.longest - 1 : -1]  # the last one may end what the model reads
            if len(tokens) > model.longest:
                raise ContextLengthExceeded(
                    f"input[{number}] has {len(tokens)} tokens, "
                    f"and an input may have {model.longest}",
                    param=f"input[{number}]",
                )
            inputs.append(array("i", tokens))
        return EmbeddingJob(id, inputs)

    def _sequence(self, id: int, request: GenerationRequest, begun: Begun | None) -> Sequence:
        if not self._runner.generates:
            raise RequestError("this model gives embeddings, and writes no text", param="model")
        n_ctx = self._runner.info.n_ctx
        alone = request.sampling.reproducible
        if alone and not self._runner.info.fingerprint:
            raise RequestError("reproducible: this model's replies can't be", param="reproducible")
        read = self._tokenizer.read(request.prompt, request.sampling)
        sampling, tokens = request.sampling, read.tokens
        if not tokens:
            raise RequestError("the prompt is empty", param="prompt")
        written = begun.tokens if begun else []
        if len(tokens) + len(written) >= n_ctx:
            raise ContextLengthExceeded(
                f"the prompt has {len(tokens)} tokens, and the context holds {n_ctx}, "
                "at least one of which is for the reply",
                param="messages" if isinstance(request.prompt, ChatPrompt) else "prompt",
            )
        session = opaque(request.session) if request.session else ""
        if alone:
            scope = Scope(opaque(request.owner), session, alone=self._runner.info.fingerprint)
        else:
            scope = Scope(opaque(request.owner), session, read.common)
        prompt = PromptTokens(tokens, scope)
        reply_from = None
        if read.reply_from is not None and not alone:
            adapted = self._tokenizer.as_written(prompt, self._written)
            if len(adapted) + len(written) < n_ctx:
                prompt = adapted
            reply_from = max(0, len(prompt) - len(tokens) + read.reply_from)
        room = n_ctx - len(prompt)
        constraint = None
        if read.keeps_to:
            with self._turns.aside():
                constraint = self._constraint(read.keeps_to, sampling)
        if begun:
            seed = begun.seed
        else:
            seed = sampling.seed if sampling.seed is not None else random.getrandbits(32)
        sequence = Sequence(
            id,
            prompt,
            sampling,
            sampler=self._runner.sampler(
                sampling, seed, prompt.ids(0, len(prompt)), constraint, written
            ),
            parser=read.parser,
            seed=seed,
            max_completion_tokens=room
            if sampling.max_tokens is None
            else min(room, sampling.max_tokens),
            dropped_messages=read.dropped_messages,
            owner=request.owner,
            least_together=self._runner.least_together,
            reply_from=reply_from,
        )
        if begun:
            sequence.go_on(begun, self._runner.token_to_bytes)
        return sequence

    def _constraint(self, wanted: Wanted, sampling: SamplingParams) -> Constraint | None:
        # What is certain is chosen by its text, and a bias may be against a token of it.
        ahead = not sampling.logit_bias and not sampling.ignore_eos
        try:
            return self._constraints.compile(wanted, ahead=ahead)
        except RequestError:
            if wanted.optional:  # nobody asked for it
                return None
            raise
