"""Has GPUs compared with the processor, in a process of its own: it may die or hang there."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from appliance.engine.device_results import Result, keep
from appliance.engine.protocol import Load
from appliance.system.json_process import converse
from appliance.tuning.devices.protocol import CannotCompare, Compare, Compared, Told

log = logging.getLogger(__name__)

SILENCE_SECONDS = 120.0
"""In which a driver may compile all that a model needs, or read a batch on a busy machine; a worker
is given as long for a step."""
ALL_SECONDS = 600.0


class Outcome(NamedTuple):
    """What came of it."""

    result: Result | None
    why: str = ""
    """Why there is none, for people; empty: it was stopped."""


def compare(
    load: Load,
    devices: tuple[str, ...],
    *,
    command: Sequence[str],
    environment: Mapping[str, str],
    stop: Callable[[], bool] = lambda: False,
    silence_seconds: float = SILENCE_SECONDS,
) -> Outcome:
    """Compare, and keep the result in `load.fidelity_folder`.

    Args:
        load: how the model is run.
        devices: names of GPUs, which compute it together.
        command: starts the child, in `environment`.
        stop: asked often; everything ends at once when it says so.

    Raises:
        OSError: the child cannot be started, or the result not be kept.
    """
    told: list[Compared | CannotCompare] = []

    def listen(line: bytes) -> None:
        try:
            said = msgspec.json.decode(line, type=Told)
        except ValueError as ex:
            log.warning("the comparing process said something else: %s", ex)
            return
        if isinstance(said, Compared | CannotCompare):
            told.append(said)
        else:
            log.debug("comparing %s with the processor: %s", " and ".join(devices), said.text)

    end = converse(
        command,
        environment,
        msgspec.json.encode(Compare(load=load, devices=devices)),
        listen,
        seconds=ALL_SECONDS,
        silence_seconds=silence_seconds,
        stop=stop,
    )
    for said in told:
        if isinstance(said, CannotCompare):
            return Outcome(None, said.message)
        keep(said.result, Path(load.fidelity_folder))
        return Outcome(said.result)
    if end.stopped:
        return Outcome(None)
    last = end.log_tail.rpartition("\n")[2]
    how = "it hung" if end.timed_out else f"it died ({_ended(end.code)})"
    return Outcome(None, f"{how} when it was compared with the processor; last words: {last}")


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
