"""A worker process: one model, the intake's threads and the step loop.

The reader thread takes commands and answers pings, the intake turns prompts into sequences,
and the step loop, on the main thread, runs them. When the service is gone the pipe ends, and the
process with it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from appliance.engine import protocol
from appliance.engine.protocol import (
    Cancel,
    Command,
    Embed,
    Event,
    Forget,
    Generate,
    Load,
    LoadFailed,
    Loading,
    Ping,
    Pong,
    Ready,
    Shutdown,
)
from appliance.system.memory import give_back_freed
from appliance.system.process_setup import go_first_out_of_memory, obey_parent_alone, take_pipes
from appliance.worker.chat_template.sandbox import SandboxedGrammars, SandboxedTemplate
from appliance.worker.input_processor import InputProcessor
from appliance.worker.runners.base import DeviceLost, LoadError, Runner, RunnerFactory
from appliance.worker.scheduler.step_loop import StepLoop

log = logging.getLogger(__name__)

PROGRESS_INTERVAL = 0.1
"""Seconds between two `Loading` events."""


class EventWriter:
    """The way back to the service. Several threads write to it, whole frames."""

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


def serve(commands: BinaryIO, events: BinaryIO, factory: RunnerFactory) -> int:
    """Load the model that the first command names and serve it until the pipe ends.

    Returns the exit code.
    """
    writer = EventWriter(events)
    load = protocol.read_command(commands)
    if load is None:
        return 0
    if not isinstance(load, Load):
        raise ValueError(f"the first command must be Load, not {type(load).__name__}")
    reported = 0.0
    reported_on: tuple[str, ...] | None = None

    def progress(fraction: float, on: tuple[str, ...] = ()) -> None:
        nonlocal reported, reported_on
        if on != reported_on or time.monotonic() - reported >= PROGRESS_INTERVAL:
            reported, reported_on = time.monotonic(), on
            writer.send([Loading(fraction, on)])

    template = SandboxedTemplate(load.template_command)
    try:
        runner = factory(load, progress)
    except LoadError as ex:
        writer.send([LoadFailed(str(ex))])
        return 1
    template.compile(
        runner.chat_template,
        bos=runner.bos,
        eos=runner.eos,
        special_tokens=runner.special_token_texts(),
    )
    loop = StepLoop(runner, load, writer.send)
    grammars = SandboxedGrammars(load.template_command)
    intake = InputProcessor(runner, template, grammars, writer.send, loop.enqueue, loop.written)
    threading.Thread(
        target=_take_commands, args=(commands, intake, loop, writer), name="reader", daemon=True
    ).start()
    info = msgspec.structs.replace(runner.info, bos=runner.bos, eos=runner.eos)
    writer.send([Ready(info)])
    loop.run()
    runner.close()
    template.close()
    grammars.close()
    return 0


def _take_commands(
    commands: BinaryIO, intake: InputProcessor, loop: StepLoop, writer: EventWriter
) -> None:
    try:
        while command := protocol.read_command(commands):
            if isinstance(command, Generate | Embed | Cancel):
                intake.put(command)
            elif isinstance(command, Forget | Shutdown):
                loop.enqueue(command)
            elif isinstance(command, Ping):
                writer.send([Pong(loop.step_seconds, *intake.reading())])
            else:
                _refuse(command)
    finally:
        # The service is gone; a running step is not worth finishing.
        os._exit(0)


def _refuse(command: Command) -> None:
    log.error("command %s makes no sense now", type(command).__name__)


def main(factory: RunnerFactory | None = None, *, ahead: bool = False) -> int:
    """Entry of a worker process: commands on stdin, events on stdout, log lines on stderr.

    Args:
        factory: makes the runner; None: the one that fits the file.
        ahead: it is started before there is a model for it, most likely one for runner.cpp.
    """
    commands, events = take_pipes(logging.INFO)
    obey_parent_alone()
    go_first_out_of_memory(500)
    give_back_freed()
    if ahead:
        _load_libraries()
    try:
        return serve(commands, events, factory or _runner)
    except DeviceLost as ex:
        log.critical("%s", ex)
        os.abort()  # as CUDA's and Vulkan's backends do themselves


def _load_libraries() -> None:
    """All but the backends: which of them depends on the model."""
    try:
        from appliance.worker.runners.llama_cpp import runner  # noqa: F401
    except LoadError as ex:
        log.warning("%s", ex)  # and reported again when a model is to be loaded


def _runner(load: Load, progress: Callable[[float, tuple[str, ...]], None]) -> Runner:
    """The runner for the file; each brings its library along."""
    if load.family:
        from appliance.worker.runners.ctransformers.runner import CtransformersRunner

        return CtransformersRunner(load, progress, family=load.family)
    from appliance.worker.runners.llama_cpp.runner import LlamaRunner

    return LlamaRunner(load, progress)
