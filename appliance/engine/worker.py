"""A worker process: one model, an intake thread and the step loop.

The intake thread reads commands, renders and tokenizes prompts and answers pings. The step loop,
on the main thread, owns scheduler and runner: schedule, decode, sample, one frame of events a step.
When the appliance goes away the pipe ends, and so does the process, at once.
"""

import ctypes
import logging
import os
import queue
import random
import signal
import sys
import threading
import time
from typing import BinaryIO

from appliance.engine import protocol
from appliance.engine.prefix_cache import tokens_of
from appliance.engine.protocol import (
    Cancel,
    ChatMessage,
    ChatPrompt,
    Command,
    Delta,
    Event,
    Failed,
    FinishReason,
    Generate,
    Load,
    LoadFailed,
    Loading,
    Ping,
    Pong,
    Prefill,
    Prompt,
    Ready,
    SamplingParams,
    TextPrompt,
)
from appliance.engine.runners.base import (
    DecodeFailed,
    LoadError,
    NoRoom,
    Runner,
    RunnerFactory,
    Sampler,
)
from appliance.engine.scheduler import Batch, Scheduler
from appliance.engine.sequence import Sequence
from appliance.engine.template import CHATML, ChatTemplate
from appliance.errors import ApplianceError, ContextLengthExceeded, InternalError, RequestError

log = logging.getLogger(__name__)

PROGRESS_INTERVAL = 0.1
"""Seconds between two `Loading` events."""


class Outbox:
    """The way back to the appliance; both threads write to it, whole frames."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, events: list[Event]) -> None:
        """Write one frame; ends the process when nobody reads any more."""
        with self._lock:
            try:
                self._pipe.write(protocol.encode(events))
                self._pipe.flush()
            except OSError:
                os._exit(0)


class Intake:
    """Prompts → sequences, for the step loop to take. Lives on the intake thread."""

    def __init__(self, runner: Runner, outbox: Outbox) -> None:
        self._runner = runner
        self._outbox = outbox
        self._template = ChatTemplate(
            runner.chat_template or CHATML,
            bos=runner.bos,
            eos=runner.eos,
            control=runner.control_texts(),
        )

    def accept(self, command: Generate) -> Sequence | None:
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
            tokens_of(tokens),
            sampling,
            seed=seed,
            limit=room if sampling.max_tokens is None else min(room, sampling.max_tokens),
            dropped_messages=dropped,
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


class StepLoop:
    """Schedule, decode, sample, tell. Lives on the main thread."""

    def __init__(self, runner: Runner, load: Load, outbox: Outbox) -> None:
        self._runner = runner
        self._outbox = outbox
        self._arrivals: queue.SimpleQueue[Sequence | Cancel | None] = queue.SimpleQueue()
        self._scheduler = Scheduler(
            runner,
            n_slots=load.n_seq_max,
            n_cells=runner.n_cells,
            n_batch=load.n_batch,
            partitioned=not load.kv_unified,
        )
        self._samplers: dict[int, Sampler] = {}
        self._step_began = 0.0

    def arrive(self, what: Sequence | Cancel | None) -> None:
        """From any thread: a sequence to run, one to end, or None to stop."""
        self._arrivals.put(what)

    @property
    def step_seconds(self) -> float:
        """From any thread: how long the step under way has run."""
        began = self._step_began
        return time.monotonic() - began if began else 0.0

    def run(self) -> None:
        """Steps, until told to stop."""
        while True:
            events: list[Event] = []
            while not self._arrivals.empty() or self._scheduler.idle:
                arrival = self._arrivals.get()
                if arrival is None:
                    return
                if isinstance(arrival, Cancel):
                    events += self._cancel(arrival.id)
                else:
                    self._scheduler.add(arrival)
                if events and self._scheduler.idle:
                    break
            if not self._scheduler.idle:
                self._step_began = time.monotonic()
                events += self._step()
                self._step_began = 0.0
            if events:
                self._outbox.send(events)

    def _cancel(self, id: int) -> list[Event]:
        for sequence in self._scheduler.sequences():
            if sequence.id == id:
                return [self._end(sequence, "cancelled")]
        return []

    def _step(self) -> list[Event]:
        batch = self._scheduler.schedule()
        try:
            self._runner.decode(batch)
        except NoRoom:
            if self._scheduler.no_room():
                return []
            return [self._end(sequence, "length") for sequence, _ in batch.parts]
        except DecodeFailed as ex:
            log.error("%s", ex)
            return self._abandon(batch, str(ex))
        self._scheduler.computed(batch)
        events: list[Event] = [
            Prefill(sequence.id, sequence.n_past, sequence.n_cached)
            for sequence, _ in batch.parts
            if sequence.n_completion == 0
        ]
        for output, sequence in zip(batch.outputs, batch.samples, strict=True):
            events += self._sample(sequence, output)
        return events

    def _sample(self, sequence: Sequence, output: int) -> list[Event]:
        sampler = self._samplers.get(sequence.id)
        if sampler is None:
            sampler = self._runner.sampler(sequence.sampling, sequence.seed, sequence.tokens[-64:])
            self._samplers[sequence.id] = sampler
        token = sampler.sample(output)
        reason: FinishReason | None = None
        text = ""
        if self._runner.ends(token):
            reason = "stop"
        else:
            sequence.append(token)
            text = sequence.text.feed(self._runner.piece(token))
            if sequence.text.stopped:
                reason = "stop"
            elif sequence.n_completion >= sequence.limit:
                reason = "length"
        if reason:
            text += sequence.text.finish()
        events: list[Event] = []
        if text:
            events.append(Delta(sequence.id, text, sequence.n_completion))
        if reason:
            events.append(self._end(sequence, reason))
        return events

    def _abandon(self, batch: Batch, why: str) -> list[Event]:
        fault = InternalError(f"the model could not compute this step: {why}")
        events: list[Event] = []
        for sequence, _ in batch.parts:
            assert sequence.slot is not None
            self._scheduler.forget(sequence.slot)
            self._forget(sequence)
            events.append(Failed(sequence.id, fault.code, fault.message))
        return events

    def _end(self, sequence: Sequence, reason: FinishReason) -> Event:
        self._forget(sequence)
        return sequence.finished(reason)

    def _forget(self, sequence: Sequence) -> None:
        self._scheduler.remove(sequence)
        sampler = self._samplers.pop(sequence.id, None)
        if sampler:
            sampler.close()


def serve(commands: BinaryIO, events: BinaryIO, factory: RunnerFactory) -> int:
    """Load the model that the first command names and serve it until the pipe ends.

    Returns the exit code.
    """
    outbox = Outbox(events)
    load = protocol.read_command(commands)
    if load is None:
        return 0
    if not isinstance(load, Load):
        raise ValueError(f"the first command must be Load, not {type(load).__name__}")
    told = 0.0

    def progress(fraction: float) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_INTERVAL:
            told = time.monotonic()
            outbox.send([Loading(fraction)])

    try:
        runner = factory(load, progress)
        intake = Intake(runner, outbox)
    except (LoadError, ValueError) as ex:
        outbox.send([LoadFailed(str(ex))])
        return 1
    loop = StepLoop(runner, load, outbox)
    threading.Thread(
        target=_take_commands, args=(commands, intake, loop, outbox), name="intake", daemon=True
    ).start()
    outbox.send([Ready(runner.info)])
    loop.run()
    runner.close()
    return 0


def _take_commands(commands: BinaryIO, intake: Intake, loop: StepLoop, outbox: Outbox) -> None:
    try:
        while command := protocol.read_command(commands):
            if isinstance(command, Generate):
                sequence = intake.accept(command)
                if sequence:
                    loop.arrive(sequence)
            elif isinstance(command, Cancel):
                loop.arrive(command)
            elif isinstance(command, Ping):
                outbox.send([Pong(loop.step_seconds)])
            else:
                _refuse(command)
    finally:
        # Nobody is there to hear of it; a step under way is not worth finishing.
        os._exit(0)


def _refuse(command: Command) -> None:
    log.error("command %s makes no sense now", type(command).__name__)


def _die_with_parent() -> None:
    """Linux: be killed when the appliance is, and be the first to go when memory runs out."""
    if sys.platform != "linux":
        return
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        log.debug("oom_score_adj cannot be set here")


def main(factory: RunnerFactory | None = None) -> int:
    """Entry of a worker process: commands on stdin, events on stdout, log lines on stderr."""
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what native code prints must not get among the events
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s", level=logging.INFO)
    # Ctrl-C reaches the whole process group; only the appliance decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    if factory is None:
        from appliance.engine.runners.llama import LlamaRunner

        factory = LlamaRunner
    return serve(commands, events, factory)
