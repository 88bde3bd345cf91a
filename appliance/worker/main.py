"""A worker process: one model, an intake thread and the step loop.

The reader thread takes commands and answers pings, the intake thread turns prompts into sequences,
and the step loop, on the main thread, runs them. When the appliance goes away the pipe ends, and at
once so does the process.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from appliance.engine import framing
from appliance.engine.protocol import (
    Cancel,
    Command,
    Embed,
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
from appliance.worker.chat_template.sandbox import TemplateGuard
from appliance.worker.event_writer import Outbox
from appliance.worker.input_processor import Intake
from appliance.worker.runners.base import DeviceLost, LoadError, Runner, RunnerFactory
from appliance.worker.scheduler.step_loop import StepLoop

log = logging.getLogger(__name__)

PROGRESS_INTERVAL = 0.1
"""Seconds between two `Loading` events."""


def serve(commands: BinaryIO, events: BinaryIO, factory: RunnerFactory) -> int:
    """Load the model that the first command names and serve it until the pipe ends.

    Returns the exit code.
    """
    outbox = Outbox(events)
    load = framing.read_command(commands)
    if load is None:
        return 0
    if not isinstance(load, Load):
        raise ValueError(f"the first command must be Load, not {type(load).__name__}")
    told = 0.0
    told_on: tuple[str, ...] | None = None

    def progress(fraction: float, on: tuple[str, ...] = ()) -> None:
        nonlocal told, told_on
        if on != told_on or time.monotonic() - told >= PROGRESS_INTERVAL:
            told, told_on = time.monotonic(), on
            outbox.send([Loading(fraction, on)])

    template = TemplateGuard(load.template_command)
    try:
        runner = factory(load, progress)
    except LoadError as ex:
        outbox.send([LoadFailed(str(ex))])
        return 1
    template.compile(
        runner.chat_template, bos=runner.bos, eos=runner.eos, control=runner.control_texts()
    )
    loop = StepLoop(runner, load, outbox.send)
    intake = Intake(runner, template, outbox.send, loop.arrive)
    intake.start()
    threading.Thread(
        target=_take_commands, args=(commands, intake, loop, outbox), name="reader", daemon=True
    ).start()
    outbox.send([Ready(runner.info)])
    loop.run()
    runner.close()
    template.close()
    return 0


def _take_commands(commands: BinaryIO, intake: Intake, loop: StepLoop, outbox: Outbox) -> None:
    try:
        while command := framing.read_command(commands):
            if isinstance(command, Generate | Embed | Cancel):
                intake.put(command)
            elif isinstance(command, Forget | Shutdown):
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


def main(factory: RunnerFactory | None = None, *, ahead: bool = False) -> int:
    """Entry of a worker process: commands on stdin, events on stdout, log lines on stderr.

    Args:
        factory: makes the runner; None: the one that fits the file.
        ahead: it is started before there is a model for it, most likely one for runner.cpp.
    """
    commands, events = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what native code prints must not get among the events
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s", level=logging.INFO)
    # Ctrl-C reaches the whole process group; only the appliance decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    if ahead:
        _load_libraries()
    try:
        return serve(commands, events, factory or _runner)
    except DeviceLost as ex:
        log.critical("%s", ex)
        os.abort()  # as CUDA's and Vulkan's backends do themselves


def _load_libraries() -> None:
    """All but the backends: which of them is for the model to say."""
    try:
        from appliance.worker.runners.llama_cpp import runner  # noqa: F401
    except LoadError as ex:
        log.warning("%s", ex)  # and told again to whoever wants a model


def _runner(load: Load, progress: Callable[[float, tuple[str, ...]], None]) -> Runner:
    """The runner for the file; each brings its library along."""
    if load.family:
        from appliance.worker.runners.ctransformers.runner import LegacyRunner

        return LegacyRunner(load, progress, family=load.family)
    from appliance.worker.runners.llama_cpp.runner import LlamaRunner

    return LlamaRunner(load, progress)
